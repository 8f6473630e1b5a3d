"""All checks of a request before it is sent to a deployment."""

from __future__ import annotations

from gateway.core.call import Call
from gateway.core.deployment import Deployment
from gateway.families.guard import fields, media


def check(call: Call, deployment: Deployment) -> None:
    """InvalidRequest: a field or URL that this deployment's clients may not send."""
    policy = deployment.guard
    if policy.fields is not None:
        fields.check(call.body, policy.fields, call.unread)
    if policy.media is not None:
        media.check(call.body, policy.media)
