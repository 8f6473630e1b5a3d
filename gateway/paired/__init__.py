"""Answers of an experiment's other arms to requests that clients have sent, in the background."""
