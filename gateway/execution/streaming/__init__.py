"""Streams answers: parses each event once, counts tokens, checks budgets, and defines the encoder interface."""
