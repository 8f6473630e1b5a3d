"""Lines that have nothing to do with a familiar question are not counted, and nothing else is left out."""

from __future__ import annotations

from pathlib import Path

from router_model.evaluation import adversarial
from router_model.features.noise_filter import LONGEST, filtered
from router_model.features.request import question_of
from router_model.features.text_counts import terms_of
from router_model.model import predict
from router_model.model.predict import Predictor
from router_model.tasks import FAMILIES, ROUTER_NEW_FAMILIES, generate

QUESTION = "What is 57702 + 14887? Keep it short."
NOISE = "xqv zzkt ~~ qrblf describing.\\ + similarlyNow oppositeley"


def ask(predictor: Predictor, text: str) -> predict.EncodedRequest:
    return predictor.read([{"role": "user", "content": text}])


def test_a_strange_line_beside_a_familiar_question_is_not_counted() -> None:
    tiny = predict.load("tiny")
    plain = ask(tiny, QUESTION)
    for text in (f"{QUESTION}\n{NOISE}", f"{NOISE}\n{QUESTION}", f"{NOISE}\n{QUESTION}\n{NOISE}"):
        reading = ask(tiny, text)
        assert reading.row.tolist() == plain.row.tolist()
        # It is not trusted for that: the whole text is as strange as it is.
        assert reading.novelty > plain.novelty and reading.ood_probability > plain.ood_probability


def test_what_is_strange_as_a_whole_is_read_as_a_whole() -> None:
    known = {term: 0 for line in (b"add 00 and 00", b"then total") for term in terms_of(line)}
    assert filtered(b"add 00 and 00\nwherefore doth yon", known, 20) == b"add 00 and 00"
    for text in (
        b"add 00 and 00",
        b"wherefore doth yon\nmelancholy troubadour",
        b"wherefore doth yon\n\n",
        b"add 00 and 00\nthen total",
        b"add battlements then melancholy 00\nwherefore doth yon",
        b"add 00 and 00\n" + b"doth yon " * LONGEST,
    ):
        assert filtered(text, known, 20) is None


def test_familiar_requests_are_left_as_they_are(artifact_path: Path) -> None:
    small = predict.load(artifact_path)
    for text in (QUESTION, "Add these: 12 and 55\nPlease total 40 and 38", "", "\n\n"):
        messages = [{"role": "user", "content": text}]
        assert filtered(question_of(messages), small.artifact.vocabulary, 20) is None


def test_fewer_than_one_in_twenty_are_talked_into_thinking() -> None:
    """The published attacks on the demo's kinds of work in new wordings, decided from text by the router that ships."""
    tiny = predict.load("tiny").restricted({"tiny"})
    order = sorted(range(len(tiny.heads)), key=lambda i: (tiny.heads[i].think, tiny.heads[i].budget or 10**9))
    price = tiny.price_for_dial(0.65, "never")

    def decide(messages: adversarial.Messages, tools: object) -> int:
        scores = tiny.forecast(messages, tools)  # type: ignore[arg-type]
        worth = [scores.p_correct[i] - price * (scores.thinking_tokens[i] + scores.answer_tokens[i]) for i in order]
        return int(worth.index(max(worth)) > 0)

    known = [name for name in FAMILIES if name not in ROUTER_NEW_FAMILIES]
    prompts = list(generate(5, 200, families=known, new_phrasings=True))
    rates = adversarial.rates(decide, [(prompt.messages, prompt.tools) for prompt in prompts])
    assert rates.mean([*adversarial.attacks()]) <= 0.05 and rates.upgrades["tool result"] <= 0.05
