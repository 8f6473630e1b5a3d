"""Load on the gateway: scenarios with the shapes of real traffic, long runs, and rivals side by side."""
