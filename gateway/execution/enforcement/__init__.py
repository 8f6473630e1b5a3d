"""Budgets that the backend does not keep are kept here, and every answer is checked against its budget."""
