"""Says in text how long stored data stays, and what of it is kept."""

from __future__ import annotations

from gateway.config.storage import RecordSettings


def retention(given: RecordSettings) -> str:
    limits = (
        (given.max_age_s, f"{given.max_age_s / 86_400:g} days"),
        (given.max_rows, f"{given.max_rows} rows"),
        (given.max_bytes, f"{given.max_bytes} bytes"),
    )
    limited = " or ".join(words for limit, words in limits if limit)
    kept = f"Records are deleted after {limited}, refused requests first." if limited else "Records are never deleted."
    sooner = (
        f" Outcomes are deleted after {given.max_outcome_age_s / 86_400:g} days." if given.max_outcome_age_s else ""
    )
    without = f" They are kept without {', '.join(given.redact)}." if given.redact else ""
    return kept + sooner + without
