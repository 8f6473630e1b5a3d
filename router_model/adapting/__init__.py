"""Routers for deployments with few outcomes or none: the prior, and what adapts it."""
