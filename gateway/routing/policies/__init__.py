"""Policies: who sets the prices, and the bounds. One file for each, with its settings."""
