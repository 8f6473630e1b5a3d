"""What learning from live traffic brings, on the outcomes of the tiny model: `python -m loadtests.learning`."""
