"""Judging a router: what it buys, beside what simple rules and oracles buy, as tables, JSON and a page."""
