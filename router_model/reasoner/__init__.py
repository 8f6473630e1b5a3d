"""Training of the tiny hybrid reasoner and its split pair: Qwen3 architecture, 1.4 M parameters, from scratch on a
CPU."""
