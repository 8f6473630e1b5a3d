"""Anthropic's Messages API: parses requests into the pipeline's calls, and encodes answers."""
