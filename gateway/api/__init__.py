"""The HTTP API: each dialect parses requests into the pipeline's calls and encodes answers and errors."""
