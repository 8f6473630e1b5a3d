"""What of a client's request may reach a backend: its fields, the media it names, and no thought beyond its key's."""
