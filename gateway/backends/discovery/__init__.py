"""What deployments really do with efforts, seen by asking them, and how that agrees with their families' rows."""
