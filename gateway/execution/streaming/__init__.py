"""Streams answers: parses them once, checks their budget, and encodes them in a dialect."""
