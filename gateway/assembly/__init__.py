"""Builds deployments, arms, policies and routers from the settings, and reports all errors at once."""

from gateway.assembly.access import authenticator, keys, metering, seal, usual_limits
from gateway.assembly.announcement import announce
from gateway.assembly.deployment import deployments, fallbacks
from gateway.assembly.experiments import experiments, idle_experiments
from gateway.assembly.judge import judge
from gateway.assembly.live import live
from gateway.assembly.model import catalogue
from gateway.assembly.pipeline import pipeline
from gateway.assembly.storage import archive, records

__all__ = [
    "announce",
    "archive",
    "authenticator",
    "catalogue",
    "deployments",
    "experiments",
    "fallbacks",
    "idle_experiments",
    "judge",
    "keys",
    "live",
    "metering",
    "pipeline",
    "records",
    "seal",
    "usual_limits",
]
