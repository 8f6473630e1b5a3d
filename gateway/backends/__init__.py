"""Access to backends: admission, connections, replicas, time limits, failures and latency."""
