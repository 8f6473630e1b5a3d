"""Whether two answers agree, as far as their form can tell, and by what that was found."""

from __future__ import annotations

from itertools import product

from gateway.core.answer import AnswerContent, CalledTool
from gateway.verification.agreement.agreement import compare

FENCE = "```"
ADD = "def total(values):\n    result = 0\n    for v in values:\n        result += v\n    return result"
SAME_ADD = '''def total(xs: list) -> int:
    """Add."""
    s = 0  # so far
    for x in xs:
        s += x
    return s'''
LOOP = f"Here:\n{FENCE}python\n{ADD}\n{FENCE}"
SAME_LOOP = f"{FENCE}\n{SAME_ADD}\n{FENCE}\nDone."
OTHER_LOOP = f"{FENCE}python\ndef total(values):\n    return sum(values)\n{FENCE}"

CASES: list[tuple[str, str, str, str]] = [
    ("Paris.", "  **paris** ", "equal", "exact"),
    ("The \u201cbig\u201d one", 'the "big" one.', "equal", "exact"),
    ("42", "The answer is 42.", "equal", "numeric"),
    ("2 + 40 = 42", "So I get\n\\boxed{42}", "equal", "numeric"),
    ("It costs 12 dollars in all: 3 + 9 = 12", "= $12.00", "equal", "numeric"),
    ("12 %", "0.12", "equal", "numeric"),
    ("12%", "12", "equal", "numeric"),
    ("The total is 1,234.5 km", "1234.5 km", "equal", "numeric"),
    ("\\boxed{\\frac{1}{2}}", "0.5", "equal", "numeric"),
    ("41", "Answer: 42", "different", "numeric"),
    ("\\boxed{0.1}", "\\boxed{0.05}", "different", "numeric"),
    ("It was founded in 1998 by two students.", "The company began in 1997 in a garage.", "unknown", "text"),
    ('{"a": 1, "b": [1, 2]}', f'{FENCE}json\n{{"b": [1, 2.0], "a": 1}}\n{FENCE}', "equal", "json"),
    ('{"a": 1}', '{"a": "1"}', "different", "json"),
    ('["red", "Blue"]', '["blue", "red"]', "equal", "json"),
    ("[1, 2]", "[2, 1]", "different", "json"),
    ('{"a": 1}', "It is one.", "unknown", "text"),
    ("red, green, blue", "- Blue\n- red\n- green", "equal", "set"),
    ("red, green", "red, green, blue", "different", "set"),
    ("1. Ada\n2. Grace", "Grace; Ada", "equal", "set"),
    ("Well, I think so.", "Yes, of course, as long as it does not rain all day tomorrow.", "unknown", "text"),
    ("B", "The correct answer is (B).", "equal", "choice"),
    ("Because of gravity.\n\nAnswer: C", "**C**", "equal", "choice"),
    ("\\boxed{A}", "D) 12 apples", "different", "choice"),
    ("(B) 12 apples", "b", "equal", "choice"),
    ("The answer is a matter of taste.", "B", "unknown", "text"),
    ("positive", "Negative", "different", "label"),
    ("yes", "No.", "different", "label"),
    ("\u662f", "\u5426", "different", "label"),
    (LOOP, SAME_LOOP, "equal", "code"),
    (LOOP, OTHER_LOOP, "unknown", "text"),
    (f"{FENCE}rust\nfn a() {{}}\n{FENCE}", f"Sure.\n{FENCE}rust\nfn  a()\n{{}}\n{FENCE}", "equal", "code"),
    (f"{FENCE}rust\nfn a() {{}}\n{FENCE}", f"{FENCE}rust\nfn b() {{}}\n{FENCE}", "unknown", "text"),
    ("I would take the train.", "Take a plane instead.", "unknown", "text"),
    ("", "42", "unknown", "empty"),
    ("", "", "unknown", "empty"),
]


def test_the_first_comparison_that_can_tell_counts() -> None:
    for one, other, verdict, by in CASES:
        assert compare(AnswerContent(one), AnswerContent(other)) == (verdict, by), (one, other)


def test_it_does_not_matter_which_answer_comes_first() -> None:
    texts = {text for one, other, _, _ in CASES for text in (one, other)}
    for one, other in product(texts, texts):
        first, second = AnswerContent(one), AnswerContent(other)
        assert compare(first, second) == compare(second, first), (one, other)


def test_an_answer_agrees_with_itself() -> None:
    for one, other, _, _ in CASES:
        for text in filter(None, (one, other)):
            assert compare(AnswerContent(text), AnswerContent(text)) == ("equal", "exact")


def test_calls_of_tools_are_the_answer_where_there_are_any() -> None:
    def calling(*calls: tuple[str, str], text: str = "") -> AnswerContent:
        return AnswerContent(text, tuple(CalledTool(str(at), *call) for at, call in enumerate(calls)))

    search = ("search", '{"query": "tides", "limit": 5}')
    same = calling(("search", '{"limit":5.0,"query":"tides"}'), text="Let me look.")
    assert compare(calling(search), same) == ("equal", "tool_calls")
    assert compare(calling(search, ("time", "")), calling(("time", "{}"), search)) == ("equal", "tool_calls")
    for other in (
        calling(("search", "{}")),
        calling(("find", search[1])),
        AnswerContent("42"),
        calling(search, search),
    ):
        assert compare(calling(search), other) == compare(other, calling(search)) == ("different", "tool_calls")
    assert compare(calling(("search", "{")), calling(("search", "{"))).verdict == "equal"


def test_hostile_texts_end_in_no_verdict_and_soon() -> None:
    for code in (
        "(" * 9000,
        "-" * 9000 + "1",
        "a" + ".b" * 9000,
        "if 1:\n" + " x" * 9000,
        "\0",
        "f(" * 4000 + ")" * 4000,
    ):
        text, other = f"{FENCE}python\n{code}\n{FENCE}", f"{FENCE}python\n{code} + 1\n{FENCE}"
        assert compare(AnswerContent(text), AnswerContent(other)).verdict == "unknown"
    long = "1" * 200_000
    assert compare(AnswerContent(long), AnswerContent(long + "2")).verdict in ("unknown", "different")
    nested = "[" * 100_000
    assert compare(AnswerContent(nested), AnswerContent("[" + nested)).verdict == "unknown"
    commas = ", " * 100_000
    assert compare(AnswerContent(commas), AnswerContent(commas + "a")).verdict in ("unknown", "different", "equal")
