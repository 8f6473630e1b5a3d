"""What proxies cost and what they lose: Thinkgate, its floor and its rivals, side by side in one run."""
