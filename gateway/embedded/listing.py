"""The responses of /v1/models, /tokenize and /detokenize."""

from __future__ import annotations

import time
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

from gateway.embedded.engine import Engine
from gateway.embedded.errors import BadRequest, Invalid
from gateway.embedded.prompts import chat_prompt, tokens
from gateway.embedded.protocol import DetokenizeRequest, TokenizeRequest, parse
from gateway.embedded.served import Served

Json = dict[str, Any]


def models_page(models: Iterable[Served]) -> Json:
    return {"object": "list", "data": [_card(served) for served in models]}


def tokenized(engine: Engine, body: Json) -> Json:
    """Raises RequestError."""
    request = parse(TokenizeRequest, body)
    served = engine.model(request.model)
    if request.messages is not None:
        ids = chat_prompt(served, request, request.messages)
    elif request.prompt is not None:
        ids = tokens(served, request.prompt)
    else:
        missing = [{"type": "missing", "loc": (name,), "msg": "Field required", "input": body} for name in
                   ("prompt", "messages")]  # fmt: skip
        raise Invalid(missing)
    names = [served.tokenizer.token(number) for number in ids] if request.return_token_strs else None
    return {"count": len(ids), "max_model_len": served.context, "tokens": ids, "token_strs": names}


def detokenized(engine: Engine, body: Json) -> Json:
    """Raises RequestError."""
    request = parse(DetokenizeRequest, body)
    served = engine.model(request.model)
    if any(number >= served.config.vocab_size for number in request.tokens):
        raise BadRequest("A token id is out of vocabulary", "tokens")
    return {"prompt": served.tokenizer.decode(request.tokens)}


def _card(served: Served) -> Json:
    now = int(time.time())
    allowed = ("allow_sampling", "allow_logprobs", "allow_view")
    denied = ("allow_create_engine", "allow_search_indices", "allow_fine_tuning", "is_blocking")
    permission = {"id": f"modelperm-{token_hex(8)}", "object": "model_permission", "created": now}
    permission |= {"organization": "*", "group": None, **dict.fromkeys(allowed, True), **dict.fromkeys(denied, False)}
    return {
        "id": served.name,
        "object": "model",
        "created": now,
        "owned_by": "vllm",
        "root": served.name,
        "parent": None,
        "max_model_len": served.context,
        "permission": [permission],
    }
