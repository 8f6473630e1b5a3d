"""What ends a thought, for every family whose thoughts the gateway may have to end."""

from __future__ import annotations

import pytest

from gateway.core.end_text import EndText, parse_end_text
from gateway.execution.enforcement.tag_stripper import TagStripper
from gateway.families.table import shipped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n</think>\n\n", EndText("<think>", "\n", "</think>", "\n\n", "\n\n", ("</think>",))),
        ("</seed:think>", EndText("<seed:think>", "", "</seed:think>", "", "", ("</seed:think>",))),
        ("[/THINK]", EndText("[THINK]", "", "[/THINK]", "", "", ("[/THINK]",))),
        ("<channel|>", EndText("<|channel>", "", "<channel|>", "", "", ("<channel|>",))),
        ("<|END_THINKING|>", EndText("<|START_THINKING|>", "", "<|END_THINKING|>", "", "", ("<|END_THINKING|>",))),
        # Tags of the answer are for the engine's parser, not for clients.
        (
            "\n</think>\n<answer>\n",
            EndText("<think>", "\n", "</think>", "\n<answer>\n", "", ("</think>", "</answer>")),
        ),
        ("Here is my response:", None),
        ("", None),
    ],
)
def test_the_end_of_a_thought_is_parted(text: str, expected: EndText | None) -> None:
    assert parse_end_text(text) == expected


def test_nearly_every_family_can_have_its_thoughts_ended() -> None:
    texts = {name: shipped().family(name).end_text for name in shipped().names()}
    assert {name for name, text in texts.items() if text and parse_end_text(text) is None} <= {"granite-3.2"}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 40])
def test_stray_marks_are_taken_out_however_they_come(size: int) -> None:
    text = "a</think>b </answer>c < / </thin k"
    without = TagStripper(("</think>", "</answer>"))
    pieces = [without.push(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join([*pieces, without.finish()]) == "ab c < / </thin k"
