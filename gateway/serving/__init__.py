"""Processes: the server, workers, graceful shutdown, and the operator port."""
