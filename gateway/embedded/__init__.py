"""The embedded backend, which needs no GPU: serves tiny Qwen3 models through vLLM's API."""

VERSION = "0.32.0"  # of vLLM, whose dialect this is
FINGERPRINT = f"thinkgate-embedded-{VERSION}"
