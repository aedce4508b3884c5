"""The protocol as rules, each with its section, and what holds a launcher or a client to them.

`server` plays clients against a launcher, `client` plays the launcher for a client. Both speak in raw lines: a judge
who shares the code of the one he judges finds nothing. The vocabulary (`schema`) is shared: it is what both mean.
"""
