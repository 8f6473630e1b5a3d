"""Effort routers: what would each effort bring this request? A forecast, never a decision."""
