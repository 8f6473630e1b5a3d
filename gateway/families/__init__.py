"""How each model family controls thinking: rows of data, and the compiler from an effort to body fields."""
