"""Probes: a short answer without thinking, requested first and buffered until it is accepted or discarded."""
