"""API keys, their limits, and the usage counters behind the limits."""
