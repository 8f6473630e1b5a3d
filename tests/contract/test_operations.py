"""What operators and gateways rely on: models, health, metrics, tokenize, and slots that come free."""

from __future__ import annotations

import pytest

from tests.contract.backend import MODEL, Backend
from tests.contract.prompts import NO_THINKING, SUM, token_id
from tests.patience import until

METRICS = [
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "prompt_tokens_total",
    "generation_tokens_total",
    "request_success_total",
    "time_to_first_token_seconds_bucket",
    "time_to_first_token_seconds_count",
    "e2e_request_latency_seconds_bucket",
]


def test_models(backend: Backend) -> None:
    listed = backend.http.get("/v1/models").json()
    assert listed["object"] == "list"
    (card,) = [card for card in listed["data"] if card["id"] == MODEL]
    assert (card["object"], card["max_model_len"]) == ("model", 2048)
    assert {"created", "owned_by"} <= set(card)
    assert MODEL in {model.id for model in backend.sdk.models.list()}


def test_health(backend: Backend) -> None:
    assert backend.http.get("/health").status_code == 200
    assert "version" in backend.http.get("/version").json()


@pytest.mark.parametrize("name", METRICS)
def test_metrics_have_the_names_and_labels_of_the_dialect(backend: Backend, name: str) -> None:
    backend.chat(SUM, max_tokens=2)
    lines = [line for line in backend.http.get("/metrics").text.splitlines() if line.startswith(f"vllm:{name}{{")]
    assert any(f'model_name="{MODEL}"' in line and 'engine="' in line for line in lines)


def test_tokens_are_counted(backend: Backend) -> None:
    before = backend.gauge("vllm:generation_tokens_total")
    usage = backend.chat(SUM, max_tokens=8)["usage"]
    assert backend.gauge("vllm:generation_tokens_total") >= before + usage["completion_tokens"]


def test_tokenize_a_text(backend: Backend) -> None:
    answer = backend.ask("/tokenize", {"model": MODEL, "prompt": "12 + 35", "return_token_strs": True})
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    assert answer["max_model_len"] == 2048
    assert backend.ask("/detokenize", {"model": MODEL, "tokens": answer["tokens"]}) == {"prompt": "12 + 35"}


@pytest.mark.parametrize("fields", [{}, NO_THINKING])
def test_tokenize_a_chat(backend: Backend, fields: dict[str, object]) -> None:
    tokens = backend.ask("/tokenize", {"model": MODEL, "messages": SUM, **fields})["tokens"]
    answer = backend.chat(SUM, max_tokens=1, return_token_ids=True, **fields)
    assert answer["prompt_token_ids"] == tokens
    assert answer["usage"]["prompt_tokens"] == len(tokens)


def test_an_earlier_thought_is_not_repeated_to_the_model(backend: Backend) -> None:
    def asked(**thought: str) -> list[int]:
        turns = [*SUM, {"role": "assistant", "content": "47", **thought}, {"role": "user", "content": "And 1 more?"}]
        tokens: list[int] = backend.ask("/tokenize", {"model": MODEL, "messages": turns})["tokens"]
        return tokens

    assert asked(reasoning="12 + 35 = 47") == asked(reasoning_content="12 + 35 = 47") == asked()


def test_a_client_that_hangs_up_frees_its_slot(backend: Backend) -> None:
    endless = {str(token_id(backend, token)): -100 for token in ("</think>", "<|im_end|>")}
    body = {"model": MODEL, "messages": SUM, "stream": True, "logit_bias": endless}
    # On a busy machine one may come to the end of the context before it is looked at.
    for _ in range(100):
        with backend.streaming("/v1/chat/completions", body) as events:
            for _ in range(5):
                next(events)
            if backend.gauge("vllm:num_requests_running") == 1:
                break
    else:
        raise AssertionError("none was seen running")
    until(lambda: backend.gauge("vllm:num_requests_running") == 0)
