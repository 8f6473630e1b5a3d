"""Answers on their way through: read once, checked against their budget, told on by a dialect."""
