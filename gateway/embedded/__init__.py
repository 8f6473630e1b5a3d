"""The small real backend that makes the product run anywhere: tiny Qwen3 models served in vLLM's own dialect."""

VERSION = "0.32.0"  # of vLLM, whose dialect this is
FINGERPRINT = f"thinkgate-embedded-{VERSION}"
