"""The tables as releases before 0.2 made them. Their oldest files lack some of the columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXTS = """
request_id dialect model arm deployment requested decided applied reason forecast router unit notes error_type
error_code finish_reason key enforced verdict used_from probe forecast_before user
""".split()  # noqa: SIM905
WHOLES = """
status used budget prompt_tokens completion_tokens reasoning_tokens exceeded probe_tokens
""".split()  # noqa: SIM905
REALS = """
time propensity price_token price_second ttft latency decision_ms cost queued_ms probe_mean probe_min
probe_first_margin probe_ms
""".split()  # noqa: SIM905
FLAGS = ("streamed", "client_gone", "probe_truncated")


def upgrade() -> None:
    tables = sa.inspect(op.get_bind())
    if not tables.has_table("records"):
        op.create_table("records", sa.Column("id", sa.Text, primary_key=True))
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("records")}
    kinds = ((TEXTS, sa.Text), (WHOLES, sa.BigInteger), (REALS, sa.Double), (FLAGS, sa.Boolean))
    for names, kind in kinds:
        for name in names:
            if name not in present:
                op.add_column("records", sa.Column(name, kind()))
    if not tables.has_table("erased"):
        columns = sa.Column("key", sa.Text), sa.Column("user", sa.Text), sa.Column("at", sa.Double, nullable=False)
        op.create_table("erased", *columns)
    op.create_index("records_request_id", "records", ["request_id"], if_not_exists=True)
    op.create_index("records_time", "records", ["time"], if_not_exists=True)
    unreached = sa.text("deployment IS NULL")
    op.create_index(
        "records_refused",
        "records",
        ["time"],
        if_not_exists=True,
        sqlite_where=unreached,
        postgresql_where=unreached,
    )
