"""Where and how to listen and connect: `quarterdeck.transport.Listener` is the one of this platform.

The twins unix.py and pipe.py have the same names and signatures; only the rest of the package and the client know more.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from quarterdeck.transport.pipe import Connection, Listener, Stream, connect, open_connection
else:
    from quarterdeck.transport.unix import Connection, Listener, Stream, connect, open_connection

__all__ = ["Connection", "Listener", "Stream", "connect", "open_connection"]
