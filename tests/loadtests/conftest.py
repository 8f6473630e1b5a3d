"""No test of the load tests leaves a process or a port behind."""

from tests.left_behind import nothing_is_left_behind  # noqa: F401
