"""Checks what may reach a backend: request fields, media URLs, and attempts to exceed a key's thinking limit."""
