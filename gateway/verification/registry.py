"""The verifiers by the names that they have in the configuration."""

from __future__ import annotations

from gateway.core.kind import kind_of
from gateway.verification.exact import ExactSettings
from gateway.verification.json_schema import JsonSchemaSettings
from gateway.verification.numeric import NumericSettings
from gateway.verification.protocol import VerifierSettings
from gateway.verification.regex import RegexSettings
from gateway.verification.tool_calls import ToolCallSettings
from gateway.verification.unit_tests import TestsSettings
from gateway.verification.unordered import SetSettings

VERIFIERS: dict[str, type[VerifierSettings]] = {
    "exact": ExactSettings,
    "numeric": NumericSettings,
    "set": SetSettings,
    "json_schema": JsonSchemaSettings,
    "regex": RegexSettings,
    "tool_calls": ToolCallSettings,
    "tests": TestsSettings,
}


def register(settings: type[VerifierSettings]) -> None:
    """Add a verifier, known from now on by the `kind` of its settings. Call it before a configuration is read.

    ValueError: another verifier has that kind.
    """
    kind = kind_of(settings)
    if VERIFIERS.setdefault(kind, settings) is not settings:
        raise ValueError(f"a verifier {kind!r} is registered already")
