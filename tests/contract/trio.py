"""The three templates behind a gateway: one that can be switched, one that always thinks, one that never does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app import make_parts
from gateway.config.defaults import embedded_settings
from gateway.config.settings import parse
from tests.gateway.running import RunningGateway
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Trio:
    """`name` is `embedded` or `vllm`; `urls` has where each model is served, without a slash at its end."""

    name: str
    urls: Mapping[str, str]

    def gateway(self, folder: Path, **models: Any) -> RunningGateway:
        """As it comes without a configuration, but for where the models are; `models` are added to those it has."""
        settings = embedded_settings("http://127.0.0.1:1/v1", folder / "records.db")
        table = settings.model_dump(mode="json", exclude_none=True)
        for model, url in self.urls.items():
            # With a connection that is waited for as long as a busy machine needs.
            table["deployments"][model] |= {"url": [f"{url}/v1"], "connect_timeout_s": PATIENCE_S}
        table["models"] |= models
        return RunningGateway.of(make_parts(parse(table)))
