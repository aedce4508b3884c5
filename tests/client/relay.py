"""A relay between a client and its launcher that can be cut: the network failure that a local socket does not have."""

from __future__ import annotations

import os
import socket
import tempfile
import threading


class Relay:
    """Listens at `endpoint` and passes bytes on, both ways, to a launcher. `cut` ends all connections at once."""

    def __init__(self, target: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="qd-")
        self.endpoint = os.path.join(self._folder.name, "r.sock")
        self._target = target
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.endpoint)
        self._listener.listen(16)
        self._start(self._accept)

    def cut(self) -> None:
        """End every connection, whatever is on its way."""
        with self._lock:
            for end in self._ends:
                self._shut(end)
            self._ends.clear()

    def close(self) -> None:
        self._shut(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                far.connect(self._target)
            except OSError:
                near.close()
                far.close()
                continue
            with self._lock:
                self._ends += (near, far)
            self._start(self._serve, near, far)

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = self._start(self._pass, far, near)
        self._pass(near, far)
        back.join()
        near.close()
        far.close()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while received := source.recv(4096):
                sink.sendall(received)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._shut(source)
            self._shut(sink)

    def _start(self, target: object, *ends: socket.socket) -> threading.Thread:
        assert callable(target)
        thread = threading.Thread(target=target, args=ends, name="relay")
        self._threads.append(thread)
        thread.start()
        return thread

    @staticmethod
    def _shut(end: socket.socket) -> None:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
