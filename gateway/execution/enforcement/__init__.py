"""Enforces thinking budgets, and stop sequences, that a backend does not enforce itself."""
