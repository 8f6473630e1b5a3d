"""Load on the gateway: one locust scenario of mixed traffic, and what it reports that locust does not."""
