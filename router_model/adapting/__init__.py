"""Routers for deployments with few outcomes or none: the prior, and its adaptation."""
