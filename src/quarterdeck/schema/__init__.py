"""The vocabulary: the wire contract as msgspec Structs, one file a kind of line.

`commands` what a client may ask, `events` what happened, `replies` what is answered to one connection (and the
directives to the host), `types` what they share, `jsonschema` the same as JSON Schema. It imports nothing else of ours.
"""
