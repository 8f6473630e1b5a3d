"""Anthropic's Messages: requests read into the call that the pipeline knows, and answers told in Anthropic's form."""
