"""What `thinkgate` and `make demo` do besides serving."""
