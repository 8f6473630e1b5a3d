"""A request outside a router's training data, at a deployment of whose probes it knows nothing: it is asked first."""

from __future__ import annotations

from dataclasses import replace
from math import log

from gateway.backends.latency import LatencyModel
from gateway.core.arm import Arm
from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, UNLIMITED, Effort
from gateway.core.forecast import Forecast
from gateway.core.prices import Prices
from gateway.core.probe import Probe
from gateway.families.table import family
from gateway.routing.effort_router.protocol import PreparedArm
from gateway.routing.effort_router.registry import make_router
from gateway.routing.policies.bounds import EffortBounds
from gateway.routing.policies.priced import PricedPolicy
from router_model.model import generic_probe
from router_model.model import probe as model_probe
from tests.gateway.conftest import Start
from tests.patience import PATIENCE_S

DEPLOYMENT = Deployment("d", ("http://x/v1",), "m", family("qwen3"), router_name="nobody-knows-it")
ARM = Arm.of("merged", DEPLOYMENT, DEPLOYMENT, (NO_THINKING, Effort(True, 4096), UNLIMITED))
STRANGE = "zxqv brmpf qwlk vrrt plomf zzkwq xyrb nnvq wprt bblk qqzx mmvr ttlp ggwd kkrs ffpl hhbn jjqt ddxw ccvz "
SURE, UNSURE = Probe([log(0.999)] * 3), Probe([log(0.4)] * 3)
TOKEN = Prices.of("dial", 1e-5)


def prepared(use: str = "auto") -> PreparedArm:
    router = make_router("prior", {"d": LatencyModel(ttft_s=1.0, tpot_s=0.1)})
    return router.prepare(ARM, "never" if use == "never" else "auto")


def forecast_of(arm: PreparedArm, text: str) -> Forecast:
    found = arm.forecast(Call("r", "chat", "m", {"messages": [{"role": "user", "content": text}]}))
    assert found is not None
    return found


def test_only_requests_whose_text_is_not_trusted_are_asked_first() -> None:
    arm, policy = prepared(), PricedPolicy(EffortBounds(default=Effort(True, 4096)))
    strange = replace(forecast_of(arm, STRANGE * 20), is_ood=True)
    call = Call("r", "chat", "m", {})
    for text in (STRANGE * 20, "What is 17 * 23? Think step by step.", "Hello"):
        found = forecast_of(arm, text)
        assert (found.probe_value is not None) is found.is_ood, text
    asked = forecast_of(arm, STRANGE * 20)
    assert asked.is_ood and asked.probe_value is not None and asked.probe_value.always
    decision = policy.buy(call, asked, TOKEN)
    assert (decision.effort, decision.reason) == (NO_THINKING, "probe")
    # Where nothing can be asked, it is the default.
    unasked = policy.buy(call, strange.without_probe(), TOKEN)
    assert (unasked.effort, unasked.reason) == (Effort(True, 4096), "fallback")
    assert forecast_of(prepared("never"), STRANGE * 20).probe_value is None


def worth_of_thinking(after: Forecast) -> float:
    """Per token, at most."""
    without, *thinking = after.efforts
    return max((one.p_correct - without.p_correct) / one.tokens for one in thinking)


def test_a_sure_answer_is_kept_and_an_unsure_one_makes_it_think() -> None:
    arm, policy = prepared(), PricedPolicy(EffortBounds(default=Effort(True, 4096)))
    before, call = forecast_of(arm, STRANGE * 20), Call("r", "chat", "m", {})
    sure, unsure = arm.update(before, SURE), arm.update(before, UNSURE)
    for after in (sure, unsure):
        rights = [one.p_correct for one in after.efforts]
        assert after.probed and rights == sorted(rights) and all(0 < right < 1 for right in rights)
    assert sure.efforts[0].p_correct > 0.8 > 0.3 > unsure.efforts[0].p_correct
    price = Prices.of("dial", (worth_of_thinking(sure) + worth_of_thinking(unsure)) / 2)
    assert policy.buy(call, sure, price).effort == NO_THINKING
    assert policy.buy(call, unsure, price).effort.think


def test_the_bound_says_less_than_the_curve_and_is_read_back_as_it_was() -> None:
    generic = generic_probe.load()
    for logit in (-4.0, -1.0, 0.0, 2.0, 5.0):
        assert generic.bound(logit) < generic_probe.sigmoid(logit)
    whole = model_probe.Probe.of([log(0.9)] * 4)
    assert generic.p_correct(whole) == generic.bound(generic.logit(whole))
    assert list(generic.outcomes) == sorted(generic.outcomes)


def test_the_shipped_models_are_asked_first_through_the_front_door(engine: str, start: Start) -> None:
    policy = {"kind": "dial", "dial": 0.5, "budgets": [16, 64, 256], "probe_wait_s": 300}
    with_prior = {"deployment": "tiny", "router": "prior", "answer_allowance": 64}
    gateway = start(
        {
            "deployments": {"tiny": {"url": f"{engine}", "family": "qwen3"}},
            "models": {
                "asks": {**with_prior, "policy": policy},
                "never": {**with_prior, "policy": {**policy, "probe": "never"}},
                "promises": {
                    **with_prior,
                    "policy": {"kind": "contract", "budgets": [16, 64], "if_impossible": "full_effort"},
                },
            },
        }
    )
    messages = [{"role": "user", "content": STRANGE * 10}]
    with gateway.sdk(timeout=PATIENCE_S) as client:
        for model in ("asks", "never", "promises"):
            client.chat.completions.create(model=model, messages=messages, temperature=0)  # type: ignore[arg-type]
    asked, never, promised = gateway.records()
    assert asked["reason"] == "probe" and asked["probe"] in ("kept", "thrown_away") and asked["probe_mean"] < 0
    assert (never["reason"], never["decided"], never["probe"]) == ("fallback", "64", None)
    assert (promised["decided"], promised["probe"]) == ("unlimited", None)
