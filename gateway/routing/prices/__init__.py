"""Price setters: what a token, a second and a second reading of the prompt cost, beside the policy's own price."""
