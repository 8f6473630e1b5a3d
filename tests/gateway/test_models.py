"""The list of models: one object that both vendors' SDKs read, and what it says of efforts is what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import ModelInfo

from tests.gateway.conftest import Start, table
from tests.gateway.keyed import Clock, KeyedGateway
from tests.gateway.running import RunningGateway
from tests.gateway.scripted import ScriptedBackend

NAMES = ["merged", "split", "unrouted", "bounded", "fixed", "plain"]
# Weakest first as these models have them: their low is 32 tokens, their minimal 128.
ALL = ["none", "low", "medium", "minimal", "high", "xhigh", "max"]
# Families that are told words, no budgets: one that always thinks, one that has a switch.
ROWS = {
    "words": {
        "about": "always thinks",
        "level_field": "reasoning_effort",
        "levels": {"low": "low", "medium": "medium", "high": "high"},
        "budget_field": False,
        "source": "this test",
    },
    "switched": {
        "about": "has a switch",
        "off": {"reasoning_effort": "none"},
        "level_field": "reasoning_effort",
        "levels": {"low": 50, "high": 75, "xhigh": 75, "max": 100},
        "budget_field": False,
        "source": "this test",
    },
}


def card(gateway: RunningGateway, name: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.get(f"/v1/models/{name}").json()
    return found


def efforts(gateway: RunningGateway, name: str) -> list[str]:
    found: list[str] = card(gateway, name)["reasoning"]["supported_efforts"]
    return found


def test_both_sdks_list_and_retrieve(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.sdk() as client, scripted_gateway.claude() as other:
        assert [model.id for model in client.models.list()] == NAMES
        assert [model.id for model in other.models.list()] == NAMES
        one, same = client.models.retrieve("split"), other.models.retrieve("split")
        with pytest.raises(openai.NotFoundError, match="Did you mean 'merged'"):
            client.models.retrieve("merge")
        with pytest.raises(anthropic.NotFoundError, match="Did you mean 'merged'"):
            other.models.retrieve("merge")
    assert (one.id, one.object, one.owned_by) == ("split", "model", "thinkgate")
    assert (same.id, same.type, same.display_name, same.lifecycle) == ("split", "model", "split", "active")
    assert same.created_at.timestamp() == one.created


async def test_the_async_clients(scripted_gateway: RunningGateway) -> None:
    async with scripted_gateway.async_sdk() as client:
        assert [model.id async for model in client.models.list()] == NAMES
    async with scripted_gateway.async_claude() as other:
        assert [model.id async for model in other.models.list(limit=2)] == NAMES


def test_every_field_is_what_the_sdk_says_it_is(scripted_gateway: RunningGateway) -> None:
    """The SDKs build objects out of anything; this reads them strictly."""
    for model in scripted_gateway.get("/v1/models").json()["data"]:
        told = ModelInfo.model_validate(model, strict=False)
        assert told.capabilities is not None
        openai.types.Model.model_validate(model)


def test_pages_for_anthropic_s_clients(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.claude() as client:
        page = client.models.list(limit=4)
        assert ([model.id for model in page.data], page.has_more) == (NAMES[:4], True)
        assert (page.first_id, page.last_id) == (NAMES[0], NAMES[3])
        assert [model.id for model in page.get_next_page().data] == NAMES[4:]
        assert [model.id for model in client.models.list(limit=2)] == NAMES
        back = client.models.list(before_id="bounded", limit=2)
        assert ([model.id for model in back.data], back.has_more) == (NAMES[1:3], True)
        assert [model.id for model in back.get_next_page().data] == NAMES[:1]
        nothing = client.models.list(after_id="plain")
        assert (nothing.data, nothing.has_more, nothing.first_id) == ([], False, None)
        for wrong in (
            {"limit": 0},
            {"limit": 1001},
            {"after_id": "gone"},
            {"after_id": "merged", "before_id": "plain"},
        ):
            with pytest.raises(anthropic.BadRequestError):
                client.models.list(**wrong)  # type: ignore[arg-type]


def test_what_a_model_can_be_told(scripted_gateway: RunningGateway) -> None:
    assert efforts(scripted_gateway, "merged") == efforts(scripted_gateway, "split") == ALL
    assert efforts(scripted_gateway, "bounded") == ["low", "medium", "minimal", "high"]
    assert efforts(scripted_gateway, "fixed") == efforts(scripted_gateway, "plain") == []
    assert card(scripted_gateway, "merged")["reasoning"] == {
        "mandatory": False,
        "default_effort": None,
        "default_enabled": True,
        "supported_efforts": ALL,
        "supports_max_tokens": True,
    }
    bounded = card(scripted_gateway, "bounded")["reasoning"]
    assert bounded["mandatory"] and bounded["default_effort"] == "medium" and bounded["supports_max_tokens"]
    fixed = card(scripted_gateway, "fixed")["reasoning"]
    assert fixed["mandatory"] and fixed["default_effort"] == "minimal" and not fixed["supports_max_tokens"]


def test_the_same_in_anthropic_s_words(scripted_gateway: RunningGateway) -> None:
    with scripted_gateway.claude() as client:
        told = {model.id: model.capabilities for model in client.models.list()}
    merged, bounded, fixed = told["merged"], told["bounded"], told["fixed"]
    assert merged is not None and bounded is not None and fixed is not None
    assert merged.effort.supported and merged.effort.max.supported and merged.effort.xhigh is not None
    assert merged.thinking.types.enabled.supported and merged.thinking.types.disabled.supported
    assert [
        level for level in ("low", "medium", "high", "xhigh", "max") if getattr(bounded.effort, level).supported
    ] == ["low", "medium", "high"]
    assert bounded.thinking.types.adaptive.supported and not bounded.thinking.types.disabled.supported
    assert fixed.thinking.supported and not fixed.effort.supported and not fixed.thinking.types.enabled.supported
    assert merged.structured_outputs.supported and not merged.batch.supported


def test_families_differ(backend: ScriptedBackend, start: Start) -> None:
    def deployment(family: str, **more: Any) -> dict[str, Any]:
        return {"url": backend.url, "family": family, **more}

    gateway = start(
        {
            "families": ROWS,
            "deployments": {
                "oss": deployment("words", max_context=131_072),
                "small": deployment("qwen3-2507", max_context=4096),
                "v41": deployment("switched"),
            },
            "models": {
                "oss": {"deployment": "oss"},
                "v41": {"deployment": "v41"},
                "apart": {"none": "small", "think": "oss"},
                "quiet": {"none": "small", "policy": {"kind": "client", "ceiling": "none"}},
            },
        }
    )
    assert efforts(gateway, "oss") == ["low", "medium", "high"] and card(gateway, "oss")["reasoning"]["mandatory"]
    assert efforts(gateway, "v41") == ["none", "low", "high", "xhigh", "max"]
    assert efforts(gateway, "apart") == ["none", "low", "medium", "high"]
    quiet = card(gateway, "quiet")
    assert quiet["reasoning"]["supported_efforts"] == ["none"] and not quiet["capabilities"]["thinking"]["supported"]
    assert card(gateway, "oss")["max_input_tokens"] == 131_072 and card(gateway, "apart")["max_tokens"] == 4096
    assert card(gateway, "v41")["max_tokens"] is None


def test_a_key_sees_what_it_may_have(backend: ScriptedBackend, tmp_path: Path) -> None:
    with KeyedGateway(table(backend.url), tmp_path, Clock()) as gateway:
        secret = gateway.key(models=["merged", "fixed"], ceiling="medium")
        with gateway.claude(secret) as client:
            assert [model.id for model in client.models.list()] == ["merged", "fixed"]
            told = client.models.retrieve("merged")
            with pytest.raises(anthropic.PermissionDeniedError):
                client.models.retrieve("split")
        assert told.capabilities is not None and told.capabilities.effort.medium.supported
        assert not told.capabilities.effort.high.supported and told.capabilities.thinking.types.enabled.supported
        with gateway.claude(gateway.key(ceiling="none")) as client:
            capabilities = client.models.retrieve("merged").capabilities
        assert capabilities is not None and not capabilities.thinking.types.enabled.supported
        with gateway.claude("tg-nobody") as client, pytest.raises(anthropic.AuthenticationError):
            client.models.list()
