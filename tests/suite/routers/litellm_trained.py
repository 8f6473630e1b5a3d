"""LiteLLM's complexity router with `classifier_type: heuristic_v2`: its tiers trained on UltraFeedback."""

import litellm_rules

if __name__ == "__main__":
    litellm_rules.main({"classifier_type": "heuristic_v2"})
