"""What other policies would have brought, from logged traffic: propensities, estimators and replay."""
