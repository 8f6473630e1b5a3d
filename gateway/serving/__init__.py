"""The processes: a server for the port, workers, a polite stop, and the port of the operators."""
