"""Probes: a short answer without thinking that is asked for first, and held back until it convinces or does not."""
