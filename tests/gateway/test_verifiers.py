"""Every verifier: a contract that holds for all, and what each makes of good, bad and hostile answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.answer import AnswerContent
from gateway.verification.job import VerificationJob, dump, load
from gateway.verification.process import VerificationFailed, VerifierProcess
from gateway.verification.protocol import AnswerTask, VerifierSettings
from gateway.verification.registry import VERIFIERS, register
from gateway.verification.sandbox.run import missing_isolation
from tests.gateway.verifying import calls, expects, says, verifier

NUMBERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TOOLS = {"add": NUMBERS}
FORMAT = AnswerTask(schema=NUMBERS)
RUNS = {"run_code_of_models": True, "cpu_s": 1, "isolation": "best_effort"}

# A right, a wrong and an inapplicable case of each verifier: its settings, the task, the answers.
Case = tuple[dict[str, Any], AnswerTask, AnswerContent, AnswerContent]
CASES: dict[str, Case] = {
    "exact": ({}, expects("Paris"), says(" Paris\n"), says("London")),
    "numeric": ({}, expects("1,200"), says("It is 1200."), says("It is 1201.")),
    "set": ({}, expects(["a", "b"]), says("- B\n- A"), says("a")),
    "json_schema": ({}, FORMAT, says('{"n": 1}'), says('{"n": "1"}')),
    "regex": ({"pattern": "^yes$"}, AnswerTask(), says("yes"), says("no")),
    "tool_calls": ({}, AnswerTask(tools=TOOLS), calls(("add", '{"n": 1}')), calls(("add", '{"n": "x"}'))),
    "tests": (
        RUNS,
        AnswerTask(tests="def test(): pass\ndef test_two(): assert twice(2) == 4"),
        says("```python\ndef twice(x): return 2 * x\n```"),
        says("```python\ndef twice(x): return x + 1\n```"),
    ),
}
HOSTILE = (
    "", "\0", "\ud800", "(" * 50_000, "[" * 200_000, '{"n":' * 50_000, "9" * 260_000, "-" * 260_000, "1," * 130_000,
    "1" + ",000" * 60_000, "```" * 80_000, "\\boxed{" * 30_000, "\\frac{1}{0}", "1e999999999", "0x1p-3", "\u0661\u0662",
    "a" * 262_144, "\n" * 262_144, "=" * 1000 + "nan inf", "1/0",
)  # fmt: skip


@pytest.fixture(scope="module")
def process() -> Iterator[VerifierProcess]:
    running = VerifierProcess()
    yield running
    running.close()


def score(process: VerifierProcess, one: VerifierSettings, task: AnswerTask, answer: AnswerContent) -> float | None:
    return process.score(VerificationJob(one, task, answer))


def test_every_verifier_keeps_the_contract(process: VerifierProcess) -> None:
    """In the process that serves them: a right answer is 1, a wrong one less, nothing to compare with is not scored."""
    assert CASES.keys() == VERIFIERS.keys()
    for kind, (given, task, right, wrong) in CASES.items():
        one = verifier(kind, name="mine", metric="format", weight=0.5, **given)
        assert (one.source, one.metric, one.weight) == ("verifier:mine", "format", 0.5)
        assert verifier(kind, **given).source == f"verifier:{kind}"
        assert one.describe().endswith(".") and len(one.describe()) > 20
        assert one.applies(task, right) and one.applies(task, wrong), kind
        assert load(dump(VerificationJob(one, task, right))) == (one, task, right), kind
        assert score(process, one, task, right) == 1.0, kind
        worse = score(process, one, task, wrong)
        assert worse is not None and 0 <= worse < 1, kind
        if kind != "regex":
            assert not one.applies(AnswerTask(), right), kind
        # What calls tools is not the answer yet; what calls none has no calls to check.
        assert one.applies(task, calls(("add", "{}"))) == (kind == "tool_calls"), kind
        for changed in ({"nmae": "x"}, {"metric": "No"}, {"weight": 2}, {"name": ""}):
            with pytest.raises(ValidationError):
                verifier(kind, **{**given, **changed})


def test_no_answer_breaks_a_verifier(process: VerifierProcess) -> None:
    for kind, (given, task, _, _) in CASES.items():
        if kind == "tests":
            continue
        one = verifier(kind, **given)
        for text in HOSTILE:
            answer = calls(("add", text), (text[:99], "{}")) if kind == "tool_calls" else says(text)
            try:
                found = score(process, one, task, answer)
            except VerificationFailed:
                assert "\ud800" in text, (kind, text[:20])  # no text that a client can have got
                continue
            assert found in (0.0, None), (kind, text[:20])


def table(kind: str, rows: tuple[tuple[dict[str, Any], Any, str, float | None], ...]) -> None:
    for given, expected, text, right in rows:
        found = verifier(kind, **given).score(expects(expected), says(text))
        assert found == right, (given, expected, text, found)


def test_exact() -> None:
    table(
        "exact",
        (
            ({}, "two  words", "two\nwords ", 1),
            ({"ignore_spaces": False}, "a", "a ", 0),
            ({}, "Paris", "paris", 0),
            ({"ignore_case": True}, "Straße", "STRASSE", 1),
            ({"compare": "last_line"}, "B", "because it fits\nB\n\n", 1),
            ({"compare": "boxed"}, "x^{2}", "so \\boxed{1}, no: \\boxed{x^{2}}.", 1),
            ({"compare": "boxed"}, "1", "it is 1", 0),
            ({"compare": "boxed"}, "1", "\\boxed{1", 0),
            ({}, {"a": [1, 2]}, '```json\n{"a": [1.0, 2]}\n```', 1),
            ({}, {"a": [1, 2]}, '{"a": [2, 1]}', 0),
            ({}, True, "1", 0),
            ({}, True, "true", 1),
            ({}, 5, "5", 1),
            ({}, [], "[]", 1),
            ({"field": "a.b"}, "x", '{"a": {"b": "x"}}', 1),
            ({"field": "a.b"}, 1, '{"a": {"b": 1}}', 1),
            ({"field": "a.b"}, "x", '{"a": []}', 0),
        ),
    )


def test_numeric() -> None:
    comma, near = {"decimal_comma": True}, {"tolerance": 0.5}
    table(
        "numeric",
        (
            ({}, 42, "The answer is 42.", 1),
            ({}, "42", "42 apples, then 43", 0),
            ({}, "#### 1,234,567.50", "so $1234567.5", 1),
            ({}, 1234567, "1'234'567 or 1_234_567", 1),
            ({}, 1234567, "1\u202f234\u202f567", 1),
            ({}, -3, "it falls by \u22123", 1),
            ({}, 0.12, "about 12 %", 1),
            ({}, "12%", "0.12", 1),
            ({}, "12%", "12\\%", 1),
            ({"percent": "ignore"}, 12, "12 %", 1),
            ({}, 12, "12 %", 0),
            ({}, 0.75, "3/4", 1),
            ({}, "\\frac{3}{4}", "\\boxed{\\dfrac{6}{8}}", 1),
            ({}, "1/3", "0.3333333333333", 1),
            ({}, 1, "1/0", 0),
            ({}, 7, "\\boxed{7} which is 1 more than 6", 1),
            ({"compare": "last_line"}, 6, "\\boxed{7}\n6", 1),
            ({"field": "sum"}, 3, '{"sum": 3.0, "n": 9}', 1),
            ({"field": "sum"}, 3, '{"sum": "3", "n": 9}', 1),
            ({"field": "sum"}, 3, '{"sum": true}', 0),
            (comma, 1234.5, "1.234,5 Euro", 1),
            (comma, "1.234,5", "1234,5", 1),
            (near, 10, "10.5", 1),
            (near, 10, "10.51", 0),
            ({"relative_tolerance": 0.01}, 1000, "1009", 1),
            ({}, 6.02e23, "6.02e23", 1),
            ({}, 1, "1e999999999", 0),
            ({}, 5, "x5", 0),
            ({}, 5, "none", 0),
            ({}, "no number", "5", None),
        ),
    )
    assert not verifier("numeric").applies(expects(True), says("1"))
    assert not verifier("numeric").applies(expects([1]), says("1"))


def test_sets() -> None:
    partial = {"partial": True}
    table(
        "set",
        (
            ({}, ["Red", "Blue"], "1. blue\n2) red", 1),
            ({}, "red, blue", '["Blue", "Red", "red"]', 1),
            ({}, ["red", "blue"], "red, and blue.", 1),
            ({}, ["red", "blue"], "red; green", 0),
            ({"ignore_case": False}, ["Red"], "red", 0),
            (partial, ["a", "b", "c"], "a, b, d", 0.5),
            (partial, [], "", 1),
            ({}, [], "a", 0),
            ({}, [1, {"b": 1, "a": 2}], '[{"a": 2, "b": 1}, 1]', 1),
            ({"field": "all"}, ["x"], '{"all": ["x"]}', 1),
            ({"field": "all"}, ["x"], '{"all": 3}', 0),
        ),
    )


def test_patterns_take_linear_time(process: VerifierProcess) -> None:
    """Those that take an engine that backtracks longer than anybody lives."""
    for pattern in (r"^(a+)+$", r"^(a|a)*$", r"(.*a){12}b", r"^(([a-z])+.)+[A-Z]([a-z])+$"):
        assert score(process, verifier("regex", pattern=pattern), AnswerTask(), says("a" * 50_000 + "!")) == 0
    assert score(process, verifier("regex", pattern="(?i)sorry", forbidden=True), AnswerTask(), says("SORRY")) == 0
    for pattern in ("(", r"(a)\1", "(?=a)", "a{1000000000}"):
        with pytest.raises(ValidationError, match="this pattern cannot be used"):
            verifier("regex", pattern=pattern)


def test_schemas() -> None:
    def judged(schema: Any, text: str, **given: Any) -> float | None:
        one, task = verifier("json_schema", **given), AnswerTask(schema=schema)
        return one.score(task, says(text)) if one.applies(task, says(text)) else -1.0

    assert judged(NUMBERS, '{"n": 1, "m": 2}') == judged(NUMBERS, '{"n": 1') == judged(NUMBERS, "") == 0
    assert judged(True, "{}") == 1 and judged(True, "[]") == judged(True, "{}}") == 0
    assert judged(None, "{}") == -1
    assert judged(NUMBERS, '```json\n{"n": 1}\n```') == 0
    assert judged(NUMBERS, '```json\n{"n": 1}\n```', fenced=True) == 1
    assert judged(NUMBERS, "[1]", json_schema={"type": "array"}) == 1
    assert judged({"format": "date"}, '"2026-02-30"') == 0
    # No use: invalid, elsewhere, or a pattern that no engine matches in linear time.
    elsewhere = {"$ref": "https://example.com/schema.json"}
    for useless in ({"type": "nonsense"}, elsewhere, {"pattern": "(?=a)"}, {"pattern": "("}, {"$ref": "#/nowhere"}):
        assert judged(useless, '"a"') is None, useless
    for useless in ({"type": 5}, elsewhere, {"pattern": "(?!b)"}):
        with pytest.raises(ValidationError, match="no JSON schema"):
            verifier("json_schema", json_schema=useless)


def test_tool_calls() -> None:
    def judged(*given: tuple[str, str], tools: Any = TOOLS) -> float | None:
        return verifier("tool_calls").score(AnswerTask(tools=tools), calls(*given))

    good = ("add", '{"n": 5}')
    assert judged(good) == judged(good, good) == 1
    for bad in (("sub", '{"n": 5}'), ("add", "{}"), ("add", ""), ("add", '{"n": 5'), ("add", "5"), ("add", "[]")):
        assert judged(bad) == judged(good, bad) == 0, bad
    assert judged(good, tools={"add": {"type": "nonsense"}}) is None
    assert judged(("add", " "), tools={"add": {"type": "object"}}) == 1


def nested(depth: int) -> dict[str, Any]:
    """A schema that a validator follows for as long as it is let: every level tries both branches of the next."""
    schema: dict[str, Any] = {"$defs": {"0": {"type": "object"}}, "$ref": f"#/$defs/{depth}"}
    for n in range(1, depth + 1):
        again = {"$ref": f"#/$defs/{n - 1}"}
        schema["$defs"][str(n)] = {"allOf": [{"not": {"not": again}}, {"anyOf": [{"not": again}, again]}]}
    return schema


def test_a_schema_that_never_ends_is_ended(process: VerifierProcess) -> None:
    """And whoever comes next is scored, by another process."""
    one = verifier("json_schema")
    for schema in (nested(64), {"$ref": "#"}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}):
        try:
            found = score(process, one, AnswerTask(schema=schema), says("{}"))
        except VerificationFailed:
            continue
        finally:
            assert score(process, one, FORMAT, says('{"n": 1}')) == 1
        assert found in (None, 0.0, 1.0)


class Outside(VerifierSettings):
    """A verifier of somebody else's, which the process finds by its module."""

    kind: str = "outside"

    def applies(self, task: AnswerTask, answer: AnswerContent) -> bool:
        return True

    def score(self, task: AnswerTask, answer: AnswerContent) -> float | None:
        if answer.text == "raise":
            raise RuntimeError("an answer in an error message")
        while answer.text == "loop":
            pass
        return len(answer.text) / 2

    def describe(self) -> str:
        return "half the length of the answer."


def test_one_from_outside_is_served_alike(process: VerifierProcess) -> None:
    """Its failures and its loops are its own, and a score stays in its bounds."""
    one = Outside()
    with pytest.raises(ValueError, match="kind"):
        register(Outside)
    for text, right in (("", 0.0), ("a", 0.5), ("abc", 1.0)):
        assert score(process, one, AnswerTask(), says(text)) == right
    for text, why in (("raise", "^RuntimeError$"), ("loop", "ended")):
        with pytest.raises(VerificationFailed, match=why):
            score(process, one, AnswerTask(), says(text))
    assert score(process, one, AnswerTask(), says("a")) == 0.5


def test_code_runs_only_where_that_is_wanted() -> None:
    with pytest.raises(ValidationError, match="run_code_of_models"):
        verifier("tests")
    if missing_isolation():
        with pytest.raises(ValidationError, match="best_effort"):
            verifier("tests", run_code_of_models=True)
    else:
        assert verifier("tests", run_code_of_models=True).applies(AnswerTask(tests=""), says(""))
