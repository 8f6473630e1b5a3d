"""Who may ask for what, and how much of it: keys, their limits, and the counters behind the limits."""
