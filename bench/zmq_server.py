"""A ZeroMQ server on pyzmq: answers pings and fans out what is published.

    python bench/zmq_server.py PATH

Callers and writers reach a ROUTER socket at PATH; readers an XPUB socket at PATH.pub. Rules: a message that begins with
p is sent back, one that begins with t is published. Who subscribes to a topic of its own, one that begins with r, is
sent it: all its earlier subscriptions count by then. When a connection to PATH ends, "tgone" is published.
"""

from __future__ import annotations

import sys

import zmq

PATIENCE = 64
"""Messages taken from one socket before the other has its turn."""


class Server:
    """Both sockets, and what is done about their messages."""

    def __init__(self, path: str) -> None:
        context = zmq.Context()
        self.callers = context.socket(zmq.ROUTER)
        self.readers = context.socket(zmq.XPUB)
        for socket in (self.callers, self.readers):
            socket.setsockopt(zmq.BACKLOG, 4096)
            socket.setsockopt(zmq.LINGER, 0)
        self.ends = self.callers.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.callers.bind(f"ipc://{path}")
        self.readers.bind(f"ipc://{path}.pub")

    def serve(self) -> None:
        """Until the process ends."""
        poller = zmq.Poller()
        acts = {self.callers: self.answer, self.readers: self.welcome, self.ends: self.tell}
        for socket in acts:
            poller.register(socket, zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                for _ in range(PATIENCE):
                    try:
                        message = socket.recv_multipart(zmq.NOBLOCK)
                    except zmq.Again:
                        break
                    acts[socket](message)

    def answer(self, message: list[bytes]) -> None:
        if message[-1].startswith(b"t"):
            self.readers.send(message[-1])
        else:
            self.callers.send_multipart(message)

    def welcome(self, message: list[bytes]) -> None:
        if message[-1].startswith(b"\1r"):
            self.readers.send(message[-1][1:])

    def tell(self, _: list[bytes]) -> None:
        self.readers.send(b"tgone")


if __name__ == "__main__":
    Server(sys.argv[1]).serve()
