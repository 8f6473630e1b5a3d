"""From outcome tables to a router artifact."""
