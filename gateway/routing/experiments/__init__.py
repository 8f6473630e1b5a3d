"""Experiments: which arm a request belongs to."""
