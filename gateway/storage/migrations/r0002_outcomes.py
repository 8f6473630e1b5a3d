"""Outcomes of answers, what experiments and prices record, and indexes for reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name in ("answer_id", "experiment", "config", "prices", "session", "probe_value"):
        op.add_column("records", sa.Column(name, sa.Text))
    for name in ("paired_with", "baseline", "team", "features"):
        op.add_column("records", sa.Column(name, sa.Text))
    op.add_column("records", sa.Column("cached_tokens", sa.BigInteger))
    op.add_column("records", sa.Column("degraded", sa.Boolean))
    op.add_column("records", sa.Column("lost_to_length", sa.Boolean))
    op.add_column("records", sa.Column("first_answer_ms", sa.Double))
    op.create_index("records_answer_id", "records", ["answer_id"])
    for name in ("key", "model", "arm", "experiment"):
        op.create_index(f"records_{name}_time", "records", [name, "time"])
    for name in ("unit", "session"):
        op.create_index(f"records_{name}", "records", [name, "time"])
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("metric", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("score", sa.Double),
        sa.Column("time", sa.Double),
        *(sa.Column(name, sa.Text) for name in ("key", "user", "unit", "label", "comment")),
        sa.Column("weight", sa.Double),
    )
    op.create_index("outcomes_time", "outcomes", ["time"])
