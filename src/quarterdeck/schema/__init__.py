"""The vocabulary: the wire contract as msgspec Structs, one file a kind of line.

`commands` what a client may ask, `events` what happened, `replies` what is answered to one connection (and the
directives to the host), `types` what they share, `jsonschema` the same as JSON Schema. It imports nothing else of ours.

Annotations are types here, not text (no `from __future__ import annotations`): a decoder needs the type of each member,
and would have to compile and evaluate its text first, which took 15 ms of every start.
"""
