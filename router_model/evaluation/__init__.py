"""Evaluates routers against simple rules and oracles, as tables, JSON and an HTML page."""
