"""An effort in the model's name, `name:high`, for clients that can set nothing else; and the workload of a request.

A public model of exactly this name comes first. Otherwise what follows the last colon is a level of the model, `auto`,
`unlimited`, or a number of thinking tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.api.checks import MOST_THINKING
from gateway.api.fields import Fields
from gateway.core.aliases import Headers
from gateway.core.call import Call
from gateway.core.efforts import UNLIMITED, Effort, from_budget
from gateway.core.errors import InvalidRequest
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.prices.work_class import CLASS_HEADER

MOST_DIGITS = len(str(MOST_THINKING))


def split(body: dict[str, Any], catalogue: Catalogue) -> tuple[dict[str, Any], str | None]:
    """The body with the name of a public model, and the word for an effort that came with it, if one did.

    InvalidRequest: it names no model.
    """
    name = body.get("model")
    if type(name) is str and name and ":" not in name:
        return body, None
    name = Fields(body).needed("model")
    base, colon, word = name.rpartition(":")
    if not colon or name in catalogue or base not in catalogue:
        return body, None
    return {**body, "model": base}, word


def refined(call: Call, word: str | None, headers: Headers, catalogue: Catalogue) -> Call:
    """The call with the effort that its model's name asks for, and with its workload.

    InvalidRequest: the word stands for no effort, contradicts another field, or the request has no effort.
    """
    workload = headers.get(CLASS_HEADER)
    if workload is not None:
        call = replace(call, workload=workload)
    return call if word is None else _with_effort(call, word, catalogue.find(call.model))


def _with_effort(call: Call, word: str, model: PublicModel) -> Call:
    if call.passthrough is not None:
        raise InvalidRequest("A raw prompt has no effort: leave it out of the model's name.", param="model")
    if word == "auto":
        return call
    effort = _effort(word, model)
    if call.requested is not None and call.requested != effort:
        message = f"model {model.name + ':' + word!r} contradicts {call.effort_param} {call.effort_word!r}."
        raise InvalidRequest(message, param="model")
    return replace(call, requested=effort, effort_word=word, effort_param="model")


def _effort(word: str, model: PublicModel) -> Effort:
    if word in model.levels:
        return model.levels[word]
    if word == "unlimited":
        return UNLIMITED
    if word.isascii() and word.isdecimal() and len(word) <= MOST_DIGITS and int(word) <= MOST_THINKING:
        return from_budget(int(word))
    known = ", ".join([*model.levels, "auto"])
    message = f"{model.name!r} has no effort {word[:40]!r}: use one of {known}, or a number of thinking tokens."
    raise InvalidRequest(message, param="model", code="unknown_effort")
