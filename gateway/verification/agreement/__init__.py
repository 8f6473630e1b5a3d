"""Whether two answers to one request say the same, as far as their form alone can tell."""
