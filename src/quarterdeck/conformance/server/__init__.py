"""A launcher under check: we are its clients, on raw lines."""
