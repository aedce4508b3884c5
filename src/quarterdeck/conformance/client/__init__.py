"""A client under check: we are its launcher, on a private socket, and see what it says and how it copes."""
