"""The record of a request: one row."""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """One request, finished or failed. Field names are the columns of the table; no prompt or answer text.

    `requested`, `decided` and `applied` are budgets as text (`auto`, `none`, a number, `unlimited`); times in seconds
    unless the name says otherwise; `id` is the gateway's own, `request_id` the one the client sees, `key` the id of the
    client's API key, `team` the name of its team; `cost` is in dollars. `enforced` is how the budget was enforced;
    `used_from` whether usage was `reported` by the backend or `counted` here; `verdict` whether it was `within` the
    budget, `over` it or is `unknown`; `exceeded` by how many tokens. `probe` is the outcome of a probe (`kept`,
    `thrown_away`, `failed`, `unfinished`), with its features (log-probabilities in nats), its duration, and the
    `forecast_before` it. Tokens of a discarded probe are not in `completion_tokens`, but in `cost`. `answer_id` is the
    id in the answer's body. `experiment` is the one that assigned the arm, `config` the version of the configuration,
    `prices` a JSON object of every component of the price and who set it, `session` the hash of an agent's session
    among those of its key, `probe_value` is what a probe was forecast to reveal, where the policy explored (JSON, see
    `gateway.execution.row`); `cached_tokens` how much of the prompt came from a prefix cache, and `degraded` whether a
    quota lowered the effort. `ttft` is until a stream's first token, which may be reasoning; `first_answer_ms` until
    the first token after the reasoning, or until all of an answer that is not streamed; None if there was none.
    `paired_with` is the id of the client's request that this one answered again, in the background, by another arm of
    its experiment: such a row is no traffic of the client's, though it has its key, user and unit. `baseline` is what
    the experiment's default arm was forecast to bring, whatever the arm: JSON of P(correct), thinking tokens, answer
    tokens and seconds. `features` are what the router read of the request, for learning: counts and sums, no words (see
    `router_model.model.kept_features`). `lost_to_length`: the answer ended at its limit of tokens, empty or too short,
    because its thinking had used them up.
    """

    id: str
    request_id: str
    time: float
    dialect: str
    status: int
    model: str | None = None
    arm: str | None = None
    deployment: str | None = None
    requested: str | None = None
    decided: str | None = None
    applied: str | None = None
    used: int | None = None
    budget: int | None = None
    reason: str | None = None
    propensity: float | None = None
    price_token: float | None = None
    price_second: float | None = None
    forecast: str | None = None
    router: str | None = None
    unit: str | None = None
    notes: str | None = None
    error_type: str | None = None
    error_code: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    ttft: float | None = None
    latency: float | None = None
    decision_ms: float | None = None
    streamed: bool = False
    finish_reason: str | None = None
    client_gone: bool = False
    key: str | None = None
    cost: float | None = None
    queued_ms: float | None = None
    enforced: str | None = None
    verdict: str | None = None
    used_from: str | None = None
    exceeded: int | None = None
    probe: str | None = None
    probe_tokens: int | None = None
    probe_mean: float | None = None
    probe_min: float | None = None
    probe_first_margin: float | None = None
    probe_truncated: bool | None = None
    probe_ms: float | None = None
    forecast_before: str | None = None
    user: str | None = None
    answer_id: str | None = None
    experiment: str | None = None
    config: str | None = None
    prices: str | None = None
    session: str | None = None
    cached_tokens: int | None = None
    degraded: bool | None = None
    probe_value: str | None = None
    first_answer_ms: float | None = None
    paired_with: str | None = None
    baseline: str | None = None
    team: str | None = None
    features: str | None = None
    lost_to_length: bool | None = None
