"""A public suite of everyday requests, graded by how much thinking gains, and the figures of a router on it."""
