"""The rules of a launcher, a file a section of the protocol."""
