"""Raw prompts through the gateway, with real tokens: as the engine itself says them, and nothing decided about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests import plain_http
from tests.contract.matrix import MODELS
from tests.contract.trio import Trio
from tests.gateway.running import RunningGateway

PROMPT = "What is 12 + 35? The"
# Where raw prompts of each public model go.
DEPLOYMENTS = {"tiny": "tiny", "tiny-split": "tiny-instruct"}


def alone(trio: Trio, model: str, **fields: Any) -> Any:
    """What the engine says when it is asked without a gateway."""
    body = {"model": model, "prompt": PROMPT, "temperature": 0, **fields}
    return plain_http.post(f"{trio.urls[model]}/v1/completions", json=body).json()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_the_engine_s_own_words(trio: Trio, gateway: RunningGateway, model: str, stream: bool) -> None:
    own = alone(trio, DEPLOYMENTS[model], max_tokens=12)
    asked: Any = {"model": model, "prompt": PROMPT, "temperature": 0, "max_tokens": 12}
    with gateway.sdk() as client:
        if stream:
            chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
            text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
            named, usage = chunks[0].model, chunks[-1].usage
        else:
            answer = client.completions.create(**asked)
            text, named, usage = answer.choices[0].text, answer.model, answer.usage
    assert text == own["choices"][0]["text"] and named == model
    assert usage is not None and usage.completion_tokens == own["usage"]["completion_tokens"]
    assert usage.prompt_tokens == own["usage"]["prompt_tokens"]


@pytest.mark.parametrize("model", MODELS)
def test_several_prompts_several_answers_and_their_logprobs(gateway: RunningGateway, model: str) -> None:
    with gateway.sdk() as client:
        answer = client.completions.create(
            model=model, prompt=[PROMPT, "Once"], n=2, max_tokens=3, logprobs=2, temperature=1
        )
        ids = client.completions.create(model=model, prompt=[[5, 6, 7], [8]], max_tokens=2, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    logprobs = [choice.logprobs for choice in answer.choices]
    assert all(one is not None and one.tokens and len(one.tokens) <= 3 for one in logprobs)
    assert ids.usage is not None and ids.usage.prompt_tokens == 4


def test_a_raw_prompt_can_open_a_thought(gateway: RunningGateway) -> None:
    """Which is why all of a raw answer counts as thought for a key that has a quota of it."""
    prompt = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    with gateway.sdk() as client:
        thought = client.completions.create(model="tiny", prompt=prompt, max_tokens=60, temperature=0)
        bounded: Any = {"thinking_token_budget": 4}
        short = client.completions.create(model="tiny", prompt=prompt, max_tokens=60, temperature=0, extra_body=bounded)
    assert thought.choices[0].text.strip()
    # Its own budget for it reaches the engine.
    assert len(short.choices[0].text.split("</think>")[0]) < len(thought.choices[0].text)


def test_an_engine_without_embeddings_says_so(gateway: RunningGateway) -> None:
    with gateway.sdk() as client, pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="tiny", input="hi")


def test_nothing_is_decided(trio: Trio, tmp_path: Path) -> None:
    with trio.gateway(tmp_path) as gateway:
        with gateway.sdk() as client:
            client.completions.create(model="tiny", prompt=PROMPT, max_tokens=5)
        (row,) = gateway.records()
    assert (row["dialect"], row["status"], row["deployment"], row["completion_tokens"]) == (
        "completions",
        200,
        "tiny",
        5,
    )
    assert {row[name] for name in ("requested", "decided", "applied", "used", "budget", "reason")} == {None}
