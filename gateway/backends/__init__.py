"""The way to a backend: a place at it, a connection, a replica, its time limits, its failures, its pace."""
