"""Learning from live traffic: what outcomes of different sources are worth, and how much of a difference is chance."""
