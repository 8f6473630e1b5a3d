"""Alembic's revisions of the tables, oldest first. Each only adds: older gateways may still write to the tables."""
