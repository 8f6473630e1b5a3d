"""How each kind of model is told to think: rows of data, and the compiler that turns an effort into body fields."""
