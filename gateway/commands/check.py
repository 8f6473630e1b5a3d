"""`thinkgate check`: explains in text what a configuration will do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from gateway import assembly
from gateway.backends.latency import latency_models_of
from gateway.commands.retention import retention
from gateway.config import exposure, secret_values
from gateway.config.model import ModelSettings
from gateway.config.paired import PairedSettings
from gateway.config.settings import Settings
from gateway.config.storage import AccessSettings
from gateway.core.arm import Arm
from gateway.core.contract import Guarantee
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort, size, words
from gateway.core.family import KnownIssue
from gateway.core.plan import Enforcement
from gateway.families import describe as family_words
from gateway.families import effort_encoding
from gateway.routing.catalogue import Catalogue, PublicModel
from gateway.routing.experiments.experiment import Experiment
from gateway.routing.policies.protocol import PolicyDescription
from gateway.serving import stored_files
from gateway.serving.admin import admin_key

_STRICT: Mapping[bool | str, str] = {
    True: "refused, with the list of supported ones",
    "off": "replaced by the nearest supported one, except that no thinking is refused where it is not supported",
    False: "replaced by the nearest supported one",
}


def explain(chosen: Settings, sources: bool = False) -> Iterator[str]:
    """Lines of text, the verdict first; with `sources`, statements about families end with their source.

    ConfigError: the configuration is invalid.
    """
    deployments = assembly.deployments(chosen)
    fallbacks = assembly.fallbacks(chosen, deployments)
    catalogue = assembly.catalogue(chosen, deployments, latency_models_of(deployments.values()))
    stored_files.check(chosen)
    warnings = list(_warnings(chosen, catalogue))
    served = f"{_counted(deployments, 'deployment')} and {_counted(chosen.models, 'model')}"
    yield f"OK: {served} can be served{_but(warnings)}."
    for line in warnings:
        yield f"  WARNING: {line}"
    yield ""
    kept_in = assembly.archive(chosen) if chosen.records.has_url else chosen.records.path.absolute()
    yield f"Listens on {chosen.server.host} port {chosen.server.port}; records go to {kept_in}."
    if chosen.data_dir is not None:
        yield f"Files without a path of their own are in {chosen.data_dir.absolute()}."
    yield retention(chosen.records)
    yield from _access(chosen)
    yield _signing(chosen)
    yield _responses(chosen)
    server = chosen.server
    yield (
        f"Takes requests of up to {server.max_body_bytes} bytes, {server.max_messages} messages and {server.max_depth} "
        f"levels of JSON. When it is stopped, running answers have {server.drain_s:g} s to finish."
    )
    for deployment in deployments.values():
        yield from _deployment(deployment, fallbacks[deployment.name], sources)
    yield from _known_issues(deployments, sources)
    for model in catalogue:
        yield from _model(model, chosen.models[model.name])


def _counted(things: Collection[str], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _but(warnings: Collection[str]) -> str:
    return f", with {_counted(warnings, 'warning')}" if warnings else ""


def _warnings(chosen: Settings, catalogue: Catalogue) -> Iterator[str]:
    """Settings that can be served, but are probably not intended."""
    yield from (f"{line}." for line in exposure.warnings(chosen))
    for model in catalogue:
        given = chosen.models[model.name]
        needed = given.policy.needs_router
        if not needed and given.router != "none":
            kind = given.policy.kind_name
            yield f"models.{model.name}.router: a {kind} policy does not use a router; a dial policy does."
        if needed and model.unknown_arms:
            yield f"models.{model.name}.router: it has no data about some deployment, see below."
        yield from model.unpromised


def _access(chosen: Settings) -> Iterator[str]:
    access, admin = chosen.access, chosen.admin
    if access.required:
        where = access.path.absolute()
        yield f"Clients need an API key; {_live_keys(access)} in {where}, made by `thinkgate keys create`."
        yield (
            f"  Limits on thinking tokens may be exceeded by {access.overspend:.0%} at worst, those on dollars by "
            f"{access.overspend_dollars:.0%}; requests wait up to {access.quota_wait_s:g} s for what running ones hold."
        )
    else:
        yield "Clients need no API key: anyone who reaches the port may use it ([access] required = true asks for one)."
    if admin is not None:
        admin_key(admin)
        yield f"Operators have {admin.host} port {admin.port}, with a separate key: keys, usage and metrics."
    if not chosen.metrics_on_clients_port:
        yield "Metrics are for operators only." if admin else "Metrics are not served: they need [admin]."


def _signing(chosen: Settings) -> str:
    """The secret that signs reasoning; the gateway's own one is not created by a check."""
    given = secret_values.signing_secrets(chosen.signing)
    configured = f"{len(given)} secrets: the first one signs" if len(given) > 1 else "the configured secret"
    own = f"a secret of its own, in {chosen.own_secret_path.absolute()}"
    return f"Signs reasoning with {configured if given else own}."


def _responses(chosen: Settings) -> str:
    given = chosen.responses
    if not given.store:
        return "Stores no responses: previous_response_id finds nothing."
    most = f"{given.max_items} responses, {given.max_bytes} bytes, until {given.max_age_s / 86_400:g} days"
    return f"Stores up to {most} after their last use, in clear text in {chosen.responses_path.absolute()}."


def _live_keys(access: AccessSettings) -> str:
    """The number of live keys; a check does not create the database."""
    if not access.path.exists():
        return "there are none yet"
    keys = assembly.keys(access)
    live = sum(key.state(keys.clock()) == "live" for key in keys.all())
    return f"{live} live {'one is' if live == 1 else 'ones are'}"


def _deployment(deployment: Deployment, fallbacks: tuple[Deployment, ...], sources: bool) -> Iterator[str]:
    family = deployment.family
    yield ""
    yield f"Deployment {deployment.name}: model {deployment.model!r} at {', '.join(deployment.urls)}."
    yield f"  Family {family.name} ({family.engine}), {family.about}."
    for line in family_words.describe_family(family, sources):
        yield f"    {line}"
    yield f"  Time limits: {_limits(deployment)}."
    pricing = deployment.pricing
    if pricing.input_price or pricing.output_price:
        prices = f"${pricing.input_price:g} for a million prompt tokens, ${pricing.output_price:g} for a million others"
        yield f"  Prices: {prices}."
    if deployment.verify:
        yield "  It is verified against its family, on start and on change; `check --verify` does that now."
    replicas = len(deployment.urls)
    if replicas > 1:
        yield f"  Of its {replicas} replicas, {deployment.retries} more are tried when one fails."
    limits = deployment.admission
    if limits.max_in_flight is not None:
        yield (
            f"  At most {limits.max_in_flight} requests at once; {limits.max_queue} more wait, for up to "
            f"{limits.max_wait_s:g} s. Batch requests have {limits.batch_share:.0%} of the places and wait "
            f"for up to {limits.batch_wait_s:g} s."
        )
    if fallbacks:
        yield f"  Its fallback, when it cannot answer: {', then '.join(fallback.name for fallback in fallbacks)}."


def _known_issues(deployments: Mapping[str, Deployment], sources: bool) -> Iterator[str]:
    """The known issues of their families and engines: each once, with the deployments that it affects."""
    known: dict[KnownIssue, list[str]] = {}
    for name, deployment in deployments.items():
        for issue in deployment.family.known_issues:
            known.setdefault(issue, []).append(name)
    if known:
        yield ""
        yield "Known issues of these families and engines:"
    for issue, names in known.items():
        yield f"  {', '.join(names)}: {family_words.describe_issue(issue, sources)}"


def _limits(deployment: Deployment) -> str:
    limits = (
        (deployment.timeouts.connect_timeout_s, "to connect"),
        (deployment.timeouts.first_token_timeout_s, "for the first piece of a stream"),
        (deployment.timeouts.read_timeout_s, "for any piece of an answer"),
        (deployment.timeouts.total_timeout_s, "in all"),
    )
    return ", ".join(f"{seconds:g} s {what}" for seconds, what in limits if seconds is not None)


def _model(model: PublicModel, given: ModelSettings) -> Iterator[str]:
    yield ""
    yield f"Model {model.name}:"
    if model.experiment is not None:
        yield from _experiment(model.experiment)
    for arm in model.arms:
        yield f"  {_backend(arm, len(model.arms) > 1, sum(a.weight for a in model.arms))}"
        for effort in arm.efforts:
            yield f"    {words(effort):>9}: {_how(effort, arm.deployment_for(effort), model.terms.levels)}"
    yield f"  Levels that clients may name: {_levels(model.levels)}."
    yield f"  An effort that a model does not support is {_STRICT[model.terms.strict]}."
    described = model.policy_description
    yield f"  Policy {given.policy.kind_name}: {described.summary}"
    for name, work in given.classes.items():
        yield f"  Class {name}: {work.describe()}"
    for setter, one in zip(model.setters, given.prices, strict=True):
        yield f"  Price {setter.name} ({one.kind_name}): {setter.describe()}"
    for name, promised in model.promises.items():
        yield f"    {_promised(name, promised)}"
    yield f"  Router: {model.router.describe([name for arm in model.unknown_arms for name in arm.models])}"
    if described.probes is not None:
        yield f"  Probes: {_probes(model, described)}"
    for thinks, parameters in model.terms.sampling.items():
        if parameters:
            what = ", ".join(f"{name} = {value:g}" for name, value in parameters.items())
            mode = "with" if thinks else "without"
            yield f"  Answers {mode} thinking are sampled with {what}, where the client sets none."
    for verifier in given.verify:
        yield f"  Verifier {verifier.called}, metric {verifier.metric}: {verifier.describe()}"
    answer = model.terms.answer
    yield (
        f"  A client's token limit is for the answer where the gateway decides on thinking, which comes on top (up to "
        f"{answer.longest_thought} tokens where nothing bounds it). Where the client requests thinking it covers both, "
        f"and {answer.allowance} of it are reserved for the answer."
    )
    if answer.maximum is not None:
        yield f"  Without a limit, an answer may take {answer.maximum} tokens beside its thinking budget."


def _experiment(experiment: Experiment) -> Iterator[str]:
    given = experiment.settings
    runs = "shares units out" if given.running else f"is stopped: all units go to {experiment.default}"
    yield f"  Experiment {experiment.name} {runs}; every arm is compared with {experiment.default}."
    if given.guardrails:
        margins = ", ".join(f"{name} by more than {margin:g}" for name, margin in given.guardrails.items())
        yield f"    An arm gets no more units once it is surely worse in {margins}."
    if given.paired is not None:
        yield f"    {_pairs(given.paired)}"


def _pairs(given: PairedSettings) -> str:
    limits = {
        f"{given.max_running} at once": True,
        f"{given.max_per_minute} a minute": given.max_per_minute is not None,
        f"{given.max_tokens or 0:g} tokens an {given.every}": given.max_tokens is not None,
        f"{given.max_dollars or 0:g} dollars an {given.every}": given.max_dollars is not None,
    }
    most = ", ".join(text for text, holds in limits.items() if holds).replace("an day", "a day")
    return f"Every other arm answers {given.share:.0%} of the requests, too, in the background: at most {most}."


def _backend(arm: Arm, experiment: bool, total: float) -> str:
    share = f"Arm {arm.name} ({arm.weight / total:.0%} of units): " if experiment else ""
    if len(arm.deployments) == 1 and len(arm.routes) > 1:
        return f"{share}merged: deployment {arm.deployments[0].name} serves every effort."
    none, think = arm.find(NO_THINKING), ", ".join(one.name for one in arm.thinking)
    return f"{share}split: {none.name if none else 'nothing'} answers without thinking, {think or 'nothing'} thinks."


def _how(effort: Effort, deployment: Deployment, levels: Mapping[str, Effort]) -> str:
    """How the effort is sent to the backend."""
    family = deployment.family
    if family.passes_through:
        return f"to {deployment.name} with the client's own fields: the effort is not enforced"
    body: dict[str, Any] = {}
    notes: list[str] = []
    enforcement: Enforcement = "none" if family.budget_field is None else "native"
    effort_encoding.write(effort_encoding.nearest(effort, "", family, levels, enforcement, notes), family, body)
    how = f"to {deployment.name} with {family_words.inline(body)}" if body else f"to {deployment.name} as it is"
    return f"{how} ({'; '.join(notes)})" if notes else how


def _levels(levels: Mapping[str, Effort]) -> str:
    ordered = sorted(levels.items(), key=lambda item: size(item[1]))
    return ", ".join(name if name == words(effort) else f"{name} = {words(effort)}" for name, effort in ordered)


def _promised(arm: str, promised: Guarantee) -> str:
    if not promised.kept:
        return f"NO GUARANTEE for arm {arm}: {promised.why}. Every request gets full effort."
    prices = [
        f"{'the strongest effort' if price is None else f'{price:.4g} of P(correct) a token'} {where}"
        for price, where in ((promised.with_probe, "with a probe"), (promised.without_probe, "without one"))
        if price is not None or where == "without one"
    ]
    return (
        f"Arm {arm}: {', '.join(prices)}. On {promised.prompts} prompts {promised.harmed} were harmed (at most "
        f"{promised.bound:.2%} of all), accuracy changed by {-100 * promised.loss:+.2f} points and "
        f"{promised.saved:.0%} of the strongest effort's tokens were saved."
    )


def _probes(model: PublicModel, described: PolicyDescription) -> str:
    if model.policy.probe_use == "never":
        return f"none are sent; {described.unprobed}"
    if not all(prepared.supports_probes for prepared in model.prepared.values()):
        return f"the router does not use them; {described.unprobed}"
    return f"{described.probes} Where none can be sent, {described.unprobed}"
