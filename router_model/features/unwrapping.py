"""A person's words in one piece of text, without what a client put around them.

Whatever is taken out stays in the result, as wrapping or as material; nothing is invented and nothing counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from router_model.features.elements import Element, elements_of
from router_model.features.phrases import wrapping as names

# Longer texts are read at both ends.
LONGEST = 65_536
# Lines read at each end for stamps and brackets, and from the end for labels.
_EDGE = 6
_LINES = 600
_LABEL = 48
# A label after fewer characters than this changes nothing: the words before it may be the instruction.
_LEAD_IN = 400
_BRACKETS = {"[": "]", "(": ")", "【": "】", "\uff08": "\uff09", "\uff3b": "\uff3d"}
_FIELDS = re.compile("[·|;]")
_MARKS = " \t#*_-:\uff1a=>|【】[]<"


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """`by`: "message" (taken as it is), "element", "label" or "rest" (what is left without the client's blocks)."""

    text: str
    by: str = "message"
    wrapping: tuple[str, ...] = ()
    material: tuple[str, ...] = ()


def unwrapped(text: str) -> Unwrapped:
    """The words of a person in `text`; all of it where nothing else can be told apart.

    Time grows with the length of the text and is bounded by LONGEST. The text is empty if all of it is a client's.
    """
    text = shortened(text).strip()
    if text.startswith(names().client_openings):
        return Unwrapped("", "rest", (text,))
    elements = elements_of(text)
    asked = [e for e in elements if e.name in names().asks]
    by = {e: kind for e in elements if (kind := _kind(e))}
    left = _without(text, [*asked, *by])
    if asked and len(left) <= _LEAD_IN and not _speaks(left):
        orders = [e for e in by if e.name in names().orders] if asked[0].name in names().items else []
        kept = sorted([*asked, *orders], key=lambda e: e.start)
        inner = "\n".join(text[e.inner : e.close].strip() for e in kept)
        return Unwrapped(inner, "element", *_taken(text, {e: k for e, k in by.items() if e not in orders}, left))
    wrapping, material = _taken(text, by, "")
    return _by_lines(_without(text, list(by)), wrapping, material)


def shortened(text: str) -> str:
    """Both ends of a text that is longer than LONGEST."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"


def opens_with_instructions(text: str) -> bool:
    """Whether a piece is a file with standing instructions, or a client's block, by its first line."""
    line = text[:200].lstrip().partition("\n")[0]
    words = {word.strip(".,:()*").lower().partition(".")[0] for word in line.split()}
    return line.startswith("#") and not words.isdisjoint(names().instruction_files)


def _kind(element: Element) -> str:
    words = set(element.name.split())
    if not words.isdisjoint(names().client_words):
        return "wrapping"
    longer = len(words) > 1 or element.attributes
    if longer and not words.isdisjoint(names().client_parts - names().material_words):
        return "" if element.name in names().asks else "wrapping"
    return "material" if not words.isdisjoint(names().material_words) else ""


def _without(text: str, elements: Sequence[Element]) -> str:
    if not elements:
        return text
    kept, at = [], 0
    for element in sorted(elements, key=lambda e: e.start):
        kept.append(text[at : element.start])
        at = max(at, element.end)
    kept.append(text[at:])
    return "\n".join(part for part in map(str.strip, kept) if part)


def _taken(text: str, by: dict[Element, str], rest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Wrapping and material."""
    wrapping = [text[e.start : e.end] for e, kind in by.items() if kind == "wrapping"]
    material = [text[e.start : e.end] for e, kind in by.items() if kind == "material"]
    return tuple(wrapping + [rest] * bool(rest)), tuple(material)


def _speaks(text: str) -> bool:
    """Whether text beside an element that holds the ask says something itself, and does not merely announce it."""
    lines = [line for line in text.split("\n") if line.strip()]
    return any(not line.rstrip().endswith((":", "\uff1a")) and not _bracketed(line) for line in lines)


def _by_lines(text: str, wrapping: tuple[str, ...], material: tuple[str, ...]) -> Unwrapped:
    text, changed = _without_mark(text), bool(wrapping or material)
    if "\n" not in text:
        return Unwrapped(text, "rest" if changed else "message", wrapping, material)
    lines = text.split("\n")
    lines, mail = _before_mail(lines)
    first, last = _edges(lines)
    label = _label(lines, first, last)
    by = "rest" if changed or first or last < len(lines) else "message"
    if label >= 0:
        head, words = lines[:label], _behind(lines[label])
        asked = "\n".join([words] * bool(words) + lines[label + 1 : last]).strip()
        if asked:
            return Unwrapped(asked, "label", (*wrapping, "\n".join(head + lines[last:])), (*material, *mail))
    left = "\n".join(lines[first:last]).strip()
    if not left:
        return Unwrapped(text, "message", wrapping, material)
    edges = [part for part in ("\n".join(lines[:first]), "\n".join(lines[last:])) if part]
    return Unwrapped(left, by, (*wrapping, *edges), (*material, *mail))


def _without_mark(text: str) -> str:
    """Without a label in brackets before the first word: "[user] hello"."""
    closing = _BRACKETS.get(text[:1])
    if closing is None:
        return text
    label, found, words = text[1:_LABEL].partition(closing)
    if not found or not words.strip() or label.strip().lower() not in names().labels:
        return text
    return text[len(label) + 2 :].strip()


def _before_mail(lines: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Without the older mail below the first words, and that mail."""
    for i, line in enumerate(lines[1:_LINES], 1):
        start = line[:80].strip().lower()
        if start.startswith(names().mail_marks) or (
            line.rstrip().endswith(names().mail_verbs) and any(x.startswith(">") for x in lines[i + 1 : i + 4])
        ):
            if any(map(str.strip, lines[:i])):
                return lines[:i], ("\n".join(lines[i:]),)
            break
    return lines, ()


def _edges(lines: list[str]) -> tuple[int, int]:
    """The first line that is a person's, and the one behind the last."""
    first, last = 0, len(lines)
    while first < min(len(lines), _EDGE) and (not lines[first].strip() or _edge(lines[first])):
        opened = lines[first].strip()
        first += 1
        # Code that a bracket announced ("[Selected text:" or "…:]") is the client's too.
        if opened.endswith((":]", ":")) and first < len(lines) and lines[first].startswith("```"):
            first = next((i + 1 for i in range(first + 1, len(lines)) if lines[i].startswith("```")), first)
    while last > max(first, len(lines) - _EDGE) and (not lines[last - 1].strip() or _closing(lines[last - 1], first)):
        last -= 1
    return first, last


def _edge(line: str) -> bool:
    low = line[:_LABEL].strip().lower()
    if low.startswith(names().stamps) and len(line) <= 2 * _LABEL and any(map(str.isdigit, line)):
        return True
    return low == "begin" or _bracketed(line) or _leads_in(line, low)


def _leads_in(line: str, low: str) -> bool:
    """Whether a short line begins with the noun of a label and announces what follows: "Message by form:"."""
    return (
        len(line) <= _LABEL
        and low.endswith((":", "\uff1a"))
        and low.split(maxsplit=1)[0].strip(_MARKS) in names().labels
    )


def _closing(line: str, first: int) -> bool:
    low = line[:60].strip().lower()
    if low.strip(_MARKS) in names().answers and (low[-1:] in ":\uff1a" or first or low not in ("a", "ai")):
        return low.strip(_MARKS) != low or line.isupper()
    return low.startswith(names().stamps) or (first > 0 and _bracketed(line))


def _bracketed(line: str) -> bool:
    """A line that describes something, whole in brackets or of fields: "[channel: chat]", not "[3, 1, 2]"."""
    line = line.strip()
    if line.count("·") > 1 or line.count("|") > 1 or line.count(";") > 1:
        fields = _FIELDS.split(line)
        return len(fields) > 2 and sum(":" in field or "=" in field for field in fields) * 3 > 2 * len(fields)
    if _BRACKETS.get(line[:1]) != line[-1:] or len(line) < 4:
        return False
    return ":" in line or "\uff1a" in line or len(line.split()) > 3


def _label(lines: list[str], first: int, last: int) -> int:
    """The last line that announces the ask, if what is before it is more than a lead-in; else -1."""
    before = sum(len(line) + 1 for line in lines[:last])
    for i in range(last - 1, max(first, last - _LINES) - 1, -1):
        before -= len(lines[i]) + 1
        if _announces(lines[i], last_line=i == last - 1) and (before > _LEAD_IN or not _said(lines[first:i])):
            return -1 if _is_transcript(lines, i) else i
    return -1


def _is_transcript(lines: Sequence[str], label: int) -> bool:
    if _name(lines[label]) not in names().speakers:
        return False
    return any(_name(line) in names().second_speakers for line in lines[max(0, label - _LINES) : label + _LINES])


def _name(line: str) -> str:
    return line[:_LABEL].replace("\uff1a", ":").partition(":")[0].strip(_MARKS).lower()


def _said(lines: Sequence[str]) -> bool:
    return any(map(str.strip, lines))


def _announces(line: str, last_line: bool) -> bool:
    start = line[:_LABEL]
    if ":" not in start and "\uff1a" not in start:
        if len(line) >= _LABEL or last_line:
            return False
        return (line.startswith("#") and not names().heading_words.isdisjoint(line.lower().split())) or (
            line.isupper() and line.strip(_MARKS).lower() in names().labels
        )
    label, _, words = start.replace("\uff1a", ":").partition(":")
    if last_line and not words.strip():
        return False
    if line.startswith("#"):
        return not names().heading_words.isdisjoint(label.lower().split())
    return label.strip(_MARKS).lower() in names().labels


def _behind(line: str) -> str:
    colon = line.replace("\uff1a", ":").find(":", 0, _LABEL)
    return line[colon + 1 :].strip(" *_") if colon >= 0 else ""
