"""Notify socket: the datagrams by which systemd is told how a service fares (sd_notify(3), sd_watchdog_enabled(3)).

Rules:
- What systemd put into the environment is taken out of it, so that nobody whom we start speaks in our name.
- Telling never waits and never fails a launcher: what the socket does not take at once is for the caller to send again.
- Written by hand: it is one datagram. The libraries for it are a wrapper that stands still since 2017, or bind
  libsystemd in C.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import MutableMapping
from typing import Final

from quarterdeck.errors import Unsupported

log = logging.getLogger("quarterdeck.server")

MICROSECONDS: Final = 1_000_000


class NotifySocket:
    """The way to systemd. `watchdog_s`: it wants to hear from us at least this often; None: it does not ask."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self.watchdog_s = watchdog_s
        self._address = address
        self._is_deaf = False
        self._sock = _datagram_socket()

    @classmethod
    def take(cls, environ: MutableMapping[str, str], pid: int) -> NotifySocket | None:
        """Take the variables out of an environment; `pid` is our own. None where systemd does not ask to be told."""
        address = environ.pop("NOTIFY_SOCKET", "")
        watchdog = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        if not address or sys.platform != "linux":
            return None
        if address[0] not in "/@":  # a virtual machine's (vsock:…) is for its own first process
            log.warning("systemd is told nothing: NOTIFY_SOCKET=%s is neither a path nor an abstract name", address)
            return None
        return cls(address, _watchdog_s(*watchdog, pid))

    def send(self, text: str) -> bool:
        """Send lines of `VARIABLE=value` as one datagram; False where it should be tried again, as nobody read the
        ones before. Nobody there at all is said once, in the log.
        """
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            self._sock.sendto(text.encode(), address)
        except BlockingIOError:
            return False
        except OSError as error:
            if not self._is_deaf:
                log.warning("systemd cannot be told how we fare, at %s: %s", self._address, error.strerror)
            self._is_deaf = True
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()


def _datagram_socket() -> socket.socket:
    if sys.platform == "win32":
        raise Unsupported("systemd is Linux's")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _watchdog_s(usec: str, watchdog_pid: str, pid: int) -> float | None:
    """How often systemd wants to hear from this very process; None: never."""
    if not usec or (watchdog_pid and watchdog_pid != str(pid)):
        return None
    if not usec.isdecimal() or int(usec) == 0:
        log.warning("no watchdog: WATCHDOG_USEC=%s is not a count of microseconds", usec)
        return None
    return int(usec) / MICROSECONDS
