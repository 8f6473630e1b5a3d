"""Public outcomes of many models by prompt, from a table that names the source and the licence of every row.

Rows under licences other than `LICENCES` are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from router_model.data import outcome_reader
from router_model.data.outcomes import GENERIC, Arm, OutcomeError, Outcomes, row_means
from router_model.training.boosting import sigmoid

Matrix = NDArray[np.float64]
# Licences that allow shipping a trained artifact under Apache-2.0.
LICENCES = ("Apache-2.0", "MIT")
# One spelling for models that several sources measured; others keep their own.
NAMES = {
    "DeepSeek-R1": "deepseek-r1",
    "DeepSeek-V3": "deepseek-v3",
    "deepseek-v2.5-0908": "deepseek-v2.5",
    "Llama-3.3-70B-Instruct-Turbo": "llama-3.3-70b-instruct",
    "Llama-3.1-405B-Inst@sambanova": "llama-3.1-405b-instruct",
    "Meta-Llama-3.1-70B-Instruct": "llama-3.1-70b-instruct",
    "Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b-instruct",
    "Mixtral-8x7B-Instruct-v0.1": "mixtral-8x7b-instruct",
    "Qwen2.5-32B-Instruct": "qwen2.5-32b-instruct",
    "QwQ-32B-Preview": "qwq-32b-preview",
    "claude-3-5-haiku": "claude-3.5-haiku",
    "claude-3-5-haiku-20241022": "claude-3.5-haiku",
    "claude-3-5-sonnet": "claude-3.5-sonnet",
    "claude-3-5-sonnet-20240620": "claude-3.5-sonnet",
    "gpt-4-1106-preview": "gpt-4",
    "gpt-4o-2024-08-06": "gpt-4o",
    "gpt-4o-2024-11-20": "gpt-4o",
    "gpt-4o-mini-2024-07-18": "gpt-4o-mini",
    "o1-mini-2024-09-12": "o1-mini",
    "o1-preview-2024-09-12": "o1-preview",
}
# The maximum number of prompts per source: the largest would otherwise be 40 % of all.
MOST_OF_A_SOURCE = 4000
# A lower accuracy mostly means that the source's own grading misread the model's answers.
LEAST_ACCURACY = 0.03


def table_of(path: Path, seed: int = 0) -> tuple[Outcomes, dict[str, Any]]:
    """A sample of the public outcomes, and its provenance. Raises OutcomeError."""
    whole = pq.read_table(path)
    missing = [name for name in ("source_repo", "source_commit", "licence") if name not in whole.column_names]
    if missing:
        raise OutcomeError(f"{path}: missing column {', '.join(missing)}: every row must say where it is from")
    licensed = np.isin(whole["licence"].to_pylist(), LICENCES)
    both_modes = np.isin(whole["mode"].to_pylist(), ("nothink", "think"))
    kept = whole.filter(licensed & both_modes & _sampled(whole, seed))
    rows = kept.to_pylist()
    for row in rows:
        row["model"] = NAMES.get(row["model"], row["model"])
    misread = _misread(rows)
    rows = [row for row in rows if row["model"] not in misread]
    sources = Counter((row["source_repo"], row["source_commit"], row["licence"]) for row in rows)
    return outcome_reader.from_rows(rows), {
        "sources": [
            {"repo": repo, "commit": commit, "licence": licence, "rows": n}
            for (repo, commit, licence), n in sorted(sources.items())
        ],
        "rows_of_other_licences": int((~licensed).sum()),
        "models_left_out": sorted(misread),
    }


def _sampled(whole: Any, seed: int) -> NDArray[np.bool_]:
    """A mask of the rows of sampled prompts, at most MOST_OF_A_SOURCE per source."""
    rng = np.random.default_rng(seed)
    sources = np.array(whole["source_repo"].to_pylist())
    prompts = np.array(
        [f"{d}\n{p}" for d, p in zip(whole["dataset"].to_pylist(), whole["prompt_id"].to_pylist(), strict=True)]
    )
    drawn: list[NDArray[Any]] = []
    for source in sorted(set(sources.tolist())):
        names = np.unique(prompts[sources == source])
        drawn.append(rng.permutation(names)[:MOST_OF_A_SOURCE])
    return np.isin(prompts, np.concatenate(drawn))


def _misread(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    right: dict[str, list[float]] = {}
    for row in rows:
        right.setdefault(row["model"], []).append(row["correct"])
    return {model for model, scores in right.items() if np.mean(scores) < LEAST_ACCURACY}


def generic(table: Outcomes) -> Outcomes:
    """The outcomes of a model `*` of median ability, with and without thinking.

    Sources ran different models. A plain mean over models would make medicine look easy if only strong models were run
    on it, so a Rasch model separates ability from difficulty.
    """
    arms, blocks = [], []
    for mode in ("nothink", "think"):
        columns = [j for j, arm in enumerate(table.arms) if arm.mode == mode]
        arms.append(Arm(GENERIC, mode))
        tokens = (row_means(getattr(table, name)[:, columns]) for name in ("completion", "thinking"))
        blocks.append((median_ability(table.correct[:, columns]), *tokens))
    correct, completion, thinking = (np.column_stack(parts) for parts in zip(*blocks, strict=True))
    return Outcomes(table.prompts, tuple(arms), correct, completion, thinking)


def median_ability(correct: Matrix, spread: float = 2.0, rounds: int = 60) -> Matrix:
    """P(correct) [prompts] of a model of median ability, from incomplete outcomes [prompts, models].

    A Rasch model ("Probabilistic Models for Some Intelligence and Attainment Tests", Rasch, 1960): the logit is a
    model's ability minus a prompt's difficulty, with a normal prior of standard deviation `spread` on difficulties. NaN
    for prompts that no model ran.
    """
    known = ~np.isnan(correct)
    right = np.where(known, correct, 0.0)
    ability, ease = np.zeros(correct.shape[1]), np.zeros(len(correct))
    for _ in range(rounds):
        p = sigmoid(ability + ease[:, None]) * known
        ease = ease + ((right - p).sum(axis=1) - ease / spread**2) / ((p * (known - p)).sum(axis=1) + 1 / spread**2)
        p = sigmoid(ability + ease[:, None]) * known
        ability = ability + ((right - p).sum(axis=0) - 0.01 * ability) / ((p * (known - p)).sum(axis=0) + 1.0)
    return np.where(known.any(axis=1), sigmoid(np.median(ability) + ease), np.nan)
