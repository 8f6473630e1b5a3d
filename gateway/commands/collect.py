"""`thinkgate collect`: runs every task at every effort of every deployment, and writes an outcome table.

Requests go directly to the deployments, encoded for their family as the gateway would. Finished rows are appended to
`<out>.partial`, so that an interrupted run resumes where it stopped; the Parquet table is written at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from gateway import assembly
from gateway.backends.capabilities import Capabilities
from gateway.backends.discovery.discovery import learn
from gateway.backends.latency import latency_models_of
from gateway.backends.transport import Transport
from gateway.commands.lines import progress_of, say
from gateway.config import settings
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.errors import ConfigError, GatewayError
from gateway.execution.enforcement.enforcer import BudgetEnforcer
from gateway.execution.streaming.logprobs import Logprobs
from gateway.families.compiler import compile_plan
from gateway.families.model_limits import ModelLimits
from router_model.data import output_files
from router_model.tasks import Prompt, verify

# Requests the log-probabilities of no-think answers, from which the probe columns are made.
_PROBE = {"logprobs": True, "top_logprobs": 2}
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Target:
    """One effort of one deployment, as an arm would serve it."""

    arm: Arm
    deployment: Deployment
    effort: Effort

    @property
    def mode(self) -> str:
        if not self.effort.think:
            return "nothink"
        return "think" if self.effort.budget is None else "budget"

    @property
    def key(self) -> str:
        return f"{self.deployment.router_name}/{self.mode}/{self.effort.budget if self.effort.think else ''}"


def targets(chosen: settings.Settings, deployments: Mapping[str, Deployment]) -> list[Target]:
    """Every distinct (deployment, effort) of the configuration's models, weakest effort first."""
    found: dict[str, Target] = {}
    for model in assembly.catalogue(chosen, deployments, latency_models_of(deployments.values())):
        for arm in model.arms:
            for effort in arm.efforts:
                target = Target(arm, arm.deployment_for(effort), effort)
                found.setdefault(target.key, target)
    return list(found.values())


def run(
    config: Path | None,
    tasks: Path,
    out: Path,
    concurrency: int = 16,
    engine_url: str | None = None,
    force: bool = False,
    hold_out: float = 0.0,
) -> int:
    """Collect and write `out`; returns the number of rows. `force` replaces existing files, also those of other tasks.

    About the share `hold_out` of the prompts is marked `test` in the column `router_split`: routers are judged on
    those, and never trained on them.

    ConfigError: the configuration or the tasks cannot be read, `out` exists or was started with other tasks, or some
    requests failed three times; these are left out, and tried again by the next run. OSError: the files cannot be
    written.
    """
    from router_model.data import hold_out as holding
    from router_model.data import table_file
    from router_model.tasks import read_jsonl

    chosen = settings.load(config) if config is not None else _embedded(engine_url, out)
    try:
        prompts = read_jsonl(tasks)
    except (OSError, ValueError) as error:
        raise ConfigError([str(error)]) from error
    if len({prompt.id for prompt in prompts}) < len(prompts):
        raise ConfigError([f"{tasks}: some tasks have the same id"])
    deployments = assembly.deployments(chosen)
    done = _begun(out, prompts, force)
    jobs = [
        (target, prompt)
        for target in targets(chosen, deployments)
        for prompt in prompts
        if (target.key, prompt.id) not in done
    ]
    if done:
        say(f"Resuming {_partial(out).absolute()}: {len(done)} answers are done, {len(jobs)} to go", err=True)
    try:
        with _partial(out).open("a", encoding="utf-8") as file:
            failed = asyncio.run(_collect(deployments, jobs, file, concurrency))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(_partial(out))) from error
    except KeyboardInterrupt:
        say(f"Finished answers are in {_partial(out).absolute()}: the same command resumes from there", err=True)
        raise
    rows = [{name: value for name, value in row.items() if name != "key"} for row in _rows(_partial(out))]
    say(holding.mark(rows, prompts, hold_out), err=True)
    table_file.write(rows, out)
    if failed:
        raise ConfigError(
            [f"{failed} of {len(jobs)} requests failed and are missing in {out}: run again to retry them"]
        )
    _partial(out).unlink()
    return len(rows)


def _embedded(engine_url: str | None, out: Path) -> settings.Settings:
    from gateway.config.defaults import embedded_settings

    if engine_url is None:
        raise ConfigError(["a configuration or an engine's URL is needed"])
    return embedded_settings(engine_url, out.with_suffix(".db"))


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _begun(out: Path, prompts: Sequence[Prompt], force: bool) -> set[tuple[str, str]]:
    """The target and prompt of each answer that an interrupted run of these tasks has left; prepares its file for more.

    ConfigError: no run was interrupted and `out` exists; or the answers are to other tasks.
    """
    partial = _partial(out)
    if not partial.exists():
        if out.is_file() and not force:
            raise ConfigError([f"--out: {out} exists already: choose another file, or replace it with --force"])
        output_files.can_put(out)
        return set()
    _mend(partial)
    asked = {prompt.id: json.dumps(prompt.messages) for prompt in prompts}
    rows = list(_rows(partial))
    others = sum(
        row["prompt_id"] not in asked or row.get("prompt", asked[row["prompt_id"]]) != asked[row["prompt_id"]]
        for row in rows
    )
    if others and not force:
        raise ConfigError(
            [
                f"--out: {partial} was started with other tasks: {others} of its {len(rows)} answers are not to these. "
                "Choose another file, or start over with --force"
            ]
        )
    if others:
        partial.unlink()
        return set()
    return {(row["key"], row["prompt_id"]) for row in rows}


def _mend(partial: Path) -> None:
    """Remove a last line that an interruption left unfinished."""
    os.truncate(partial, partial.read_bytes().rfind(b"\n") + 1)


def _rows(partial: Path) -> Iterator[dict[str, Any]]:
    if partial.exists():
        yield from map(orjson.loads, partial.read_bytes().splitlines())


async def _collect(
    deployments: dict[str, Deployment], jobs: Sequence[tuple[Target, Prompt]], file: TextIO, concurrency: int
) -> int:
    """Run the jobs, a bounded number at once; returns how many failed."""
    transport, failed, queue = Transport(deployments), 0, iter(jobs)
    await transport.open()
    capabilities = Capabilities()
    await learn(transport, deployments.values(), capabilities)
    enforcer = BudgetEnforcer(transport, capabilities)
    with progress_of(len(jobs), " answers") as progress:

        async def worker() -> None:
            nonlocal failed
            for target, prompt in queue:
                row = await _answer(enforcer, capabilities, target, prompt)
                failed += row is None
                if row is not None:
                    file.write(json.dumps(row) + "\n")
                    file.flush()
                progress.update()

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(worker())
        except BaseExceptionGroup as errors:
            # All workers fail for the same reason: report the first error alone.
            full, rest = errors.split(OSError)
            if full is None or rest is not None:
                raise
            raise _first(full) from None
        finally:
            await transport.close()
    return failed


def _first(errors: BaseExceptionGroup[OSError]) -> OSError:
    while True:
        error = errors.exceptions[0]
        if not isinstance(error, BaseExceptionGroup):
            return error
        errors = error


async def _answer(
    enforcer: BudgetEnforcer, capabilities: Capabilities, target: Target, prompt: Prompt
) -> dict[str, Any] | None:
    body: dict[str, Any] = {"model": target.deployment.model, "messages": prompt.messages, "temperature": 0}
    if prompt.tools:
        body["tools"] = prompt.tools
    if target.effort == NO_THINKING:
        body.update(_PROBE)
    call = Call(request_id=prompt.id, dialect="chat", model=target.deployment.model, body=body)
    plan = compile_plan(call, target.effort, target.arm, ModelLimits(), enforce=capabilities.enforcement)
    for _ in range(_ATTEMPTS):
        started = time.perf_counter()
        try:
            reply = await enforcer.post(plan, call, 0.0)
            try:
                answer = orjson.loads(await reply.read())
            finally:
                reply.close()
        except GatewayError:
            continue
        return _row(target, prompt, answer, time.perf_counter() - started)
    return None


def _row(target: Target, prompt: Prompt, answer: dict[str, Any], latency: float) -> dict[str, Any]:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    message = choice["message"]
    details = usage.get("completion_tokens_details") or {}
    thinking = details.get("reasoning_tokens") if target.effort.think else 0
    return {
        "key": target.key,
        "dataset": f"tiny-suite/{prompt.family}",
        "prompt_id": prompt.id,
        "prompt": json.dumps(prompt.messages),
        "tools": json.dumps(prompt.tools) if prompt.tools else None,
        "family": target.deployment.family.name,
        "model": target.deployment.router_name,
        "mode": target.mode,
        "budget": target.effort.budget if target.effort.think else None,
        "correct": verify(prompt, message.get("content"), message.get("tool_calls")),
        "n_samples": 1,
        "completion_tokens": usage.get("completion_tokens"),
        "thinking_tokens": thinking,
        "latency_s": latency,
        "task": prompt.family,
        "kind": prompt.kind,
        "level": prompt.level,
        "phrasing": prompt.phrasing,
        "form": prompt.form,
        "split": prompt.split,
        **_probe(choice),
    }


def _probe(choice: dict[str, Any]) -> dict[str, Any]:
    """Length, mean and least log-probability of the answer, and the margin of its first token (nats)."""
    logprobs = Logprobs()
    logprobs.add(choice)
    probe = logprobs.probe(choice.get("finish_reason"))
    names = ("probe_tokens", "probe_mean", "probe_min", "probe_first_margin", "probe_truncated")
    if probe is None:
        return dict.fromkeys(names)
    values = (len(probe.logprobs), probe.mean, probe.least, probe.first_margin, probe.truncated)
    return dict(zip(names, values, strict=True))
