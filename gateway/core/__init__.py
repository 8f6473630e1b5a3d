"""The value types and errors of Thinkgate. It imports no other part of the gateway."""
