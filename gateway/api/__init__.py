"""The edge: one file per dialect, translated onto the one pipeline."""
