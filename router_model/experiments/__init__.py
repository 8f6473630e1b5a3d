"""Comparing arms while traffic runs: confidence sequences, sample ratios, guardrails and the report."""
