"""Reads how busy an engine is out of its metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.core.load import EngineLoad

# The label with the name of the model, where an engine serves several.
MODEL_LABEL = "model_name"


def read(page: bytes, names: Mapping[str, str], model: str) -> EngineLoad | None:
    """`names` are those of the metrics `running`, `waiting` and `cache`. None: the page lacks the first two.

    Of an engine that serves several models, `model` alone counts; series of several ranks are added up.
    """
    found = {what: _of_model([*_samples(page, name)], model) for what, name in names.items()}
    running, waiting, cache = (found.get(what, []) for what in ("running", "waiting", "cache"))
    if not running or not waiting:
        return None
    return EngineLoad(sum(running), sum(waiting), max(cache) if cache else None)


def _samples(page: bytes, name: str) -> Iterator[Sample]:
    """Those of one metric: pages are long, and no other line is parsed."""
    plain = name.encode()
    lines = [line for line in page.splitlines() if line.startswith(plain) and line[len(plain) :][:1] in (b"{", b" ")]
    for family in text_string_to_metric_families(b"\n".join([*lines, b""]).decode("utf-8", "replace")):
        yield from family.samples


def _of_model(samples: list[Sample], model: str) -> list[float]:
    own = [one for one in samples if one.labels.get(MODEL_LABEL) == model]
    # NaN and infinity say nothing.
    return [one.value for one in own or samples if 0 <= one.value < float("inf")]
