"""Activation: the sockets that systemd made and listens at already, and passes to whom it starts (sd_listen_fds(3)).

Rules: the variables are for the process that they name alone, and are taken out of the environment, as are the
descriptors out of what children inherit: nobody whom we start takes them for its own.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final, NamedTuple

from quarterdeck.errors import EndpointRefused

FIRST_FD: Final = 3
"""SD_LISTEN_FDS_START: the passed descriptors begin here, without a gap."""


class PassedSocket(NamedTuple):
    """A descriptor that was passed, and what its unit calls it (FileDescriptorName=)."""

    fd: int
    name: str


def take_passed(environ: MutableMapping[str, str], pid: int) -> list[PassedSocket]:
    """Take the variables out of an environment and return what was passed to this process, `pid`; nothing, mostly.

    Raises EndpointRefused if they are not what sd_listen_fds(3) says.
    """
    count, for_pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    if not count or for_pid != str(pid):
        return []
    if not count.isdecimal():
        raise EndpointRefused(f"LISTEN_FDS={count} is not a count of sockets")
    passed = [PassedSocket(FIRST_FD + at, names[at] if at < len(names) else "") for at in range(int(count))]
    for each in passed:
        try:
            os.set_inheritable(each.fd, False)
        except OSError as error:
            raise EndpointRefused(f"LISTEN_FDS={count}, but descriptor {each.fd} was not passed") from error
    return passed


def the_only(passed: list[PassedSocket], address: str) -> PassedSocket | None:
    """Return the socket to listen at in place of one of our own, if any was passed. Raises EndpointRefused if several
    were: a launcher has one address.
    """
    if len(passed) > 1:
        names = ", ".join(each.name or f"descriptor {each.fd}" for each in passed)
        raise EndpointRefused(
            f"systemd passed {len(passed)} sockets ({names}), and a launcher listens at one; "
            f"let its .socket unit have no more than ListenStream={address}"
        )
    return passed[0] if passed else None
