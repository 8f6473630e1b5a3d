"""Trains router artifacts on outcome tables."""
