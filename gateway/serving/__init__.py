"""Processes: the server, workers, graceful shutdown, and the operators' port."""
