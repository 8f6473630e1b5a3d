"""What efforts really took, by deployment and applied level, and which of them are not what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.backends.level_usage import observation
from gateway.backends.level_usage.usage import LevelUsage
from gateway.core.record_query import RecordQuery
from gateway.storage.protocol import RecordArchive

Json = dict[str, Any]


def levels_of(archive: RecordArchive, query: RecordQuery) -> list[Json]:
    """One row for each deployment and level, weakest first. Raises RecordsUnavailable."""
    usage = LevelUsage(warns=False)
    for rated in archive.rated(query):
        observation.observe(usage, rated.record)
    findings = {(one.deployment, one.level): one.what for one in usage.findings()}
    return [
        {
            "deployment": deployment,
            "level": level,
            "answers": sample.n,
            "cut": sample.cut,
            "tokens_mean": round(sample.mean, 1),
            "tokens_p50": sample.tokens.quantile(0.5),
            "tokens_p90": sample.tokens.quantile(0.9),
            "reasoned": round(sample.thought.mean, 4) if sample.thought.n else None,
            "finding": findings.get((deployment, level)),
        }
        for deployment, samples in usage.samples().items()
        for level, sample in samples.items()
    ]


def lines(rows: list[Json]) -> Iterator[str]:
    """For people, in 80 columns."""
    yield f"{'deployment':<20}{'level':<11}{'answers':>8}{'tokens':>9}{'p50':>7}{'p90':>8}{'reasoned':>10}"
    for row in rows:
        reasoned = "-" if row["reasoned"] is None else f"{100 * row['reasoned']:.0f} %"
        yield (
            f"{row['deployment'][:19]:<20}{row['level'][:10]:<11}{row['answers']:>8}{row['tokens_mean']:>9.0f}"
            f"{row['tokens_p50']:>7}{row['tokens_p90']:>8}{reasoned:>10}"
        )
    for row in rows:
        if row["finding"] is not None:
            yield f"Careful: {row['deployment']}: {row['finding']}, by the tokens that its answers take."
