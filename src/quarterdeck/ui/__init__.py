"""User interfaces: ordinary clients, with no more rights than any other.

Rules: nothing here decides; what is shown came over the wire, from processes that nobody here vouches for, so every
text goes through `text.safe` on its way to a screen. Each command is a file of `commands` and is imported when it is
called.
"""
