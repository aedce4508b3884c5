"""The server: one engine (the single writer), one hub (fan-out to cursors), a peer per connection, and the daemon
that builds them.
"""
