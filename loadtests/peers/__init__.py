"""What a proxy costs: CPU time, latency and memory of Thinkgate and of its floor, side by side in one run."""
