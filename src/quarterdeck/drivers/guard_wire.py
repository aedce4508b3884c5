"""Guard wire: what the launcher asks of the guard, and what the guard reports; the only words between the two.

One JSON object a line, each way, over a stream socket. `kind` names the value, the other members are its fields. A
member that is not known is passed over and one that is missing takes its default, so that a launcher can take over the
guard of an older one. Only the standard library, and little of it: the guard is to start fast and stay small.

    launcher                                      guard
       │ <──────────────────────────────── Hello    first of all, and again to whoever takes the guard over
       │ Policy, Spawn ────────────────────────>
       │ <──────────────── Spawned | SpawnFailed    the process is there, and is held at a gate
       │ Release ──────────────────────────────>    the program begins
       │ <───────────────────────────────── Line    only until Ready, and only if Spawn asked for it
       │ Ready, Signal, Kill ──────────────────>
       │ <─────────────────────────────── Exited    it ended, and nothing of it is left
       │ Ping ─────────────────────────────────>
       │ <───────────────────────────────── Pong    it does not hang

After `Spawned` exactly one `Exited` follows, whatever happens; after it, its name is free for another `Spawn`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

VERSION: Final = 1
"""Raised when a member changes its meaning; `Hello` tells it."""

LINE_BYTES_MAX: Final = 16 << 20
"""The longest line: a `Spawn` with the largest environment that a system takes is a few MiB."""


FEW: Final = 20
"""So many of the processes that a child left behind are named."""


# --- requests: launcher to guard


class Spawn(NamedTuple):
    """Make a child's process and hold it at its gate.

    `env` is its whole environment, to which the guard adds `QUARTERDECK_CHILD` and `QUARTERDECK_TREE`. `open_files` is
    its soft limit of open files; `memory_max` its limit in bytes, of the whole tree where there are cgroups and of each
    process alone where there are none. `log_path` (absolute) gets its output, and keeps `log_kept` older files of
    `log_bytes_max` each; without it nothing is written. `watched`: report its lines until `Ready`. `revision` and
    `attempt` are the launcher's own, and come back in `Hello`. `outlets`: the guard's descriptors of two pipes, or
    twice of one, to which its standard output and standard error are passed on as they come; they stay open till the
    guard ends, which it does once they have taken all.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    open_files: int | None = None
    memory_max: int | None = None
    log_path: str | None = None
    log_bytes_max: int = 10 << 20
    log_kept: int = 3
    watched: bool = False
    revision: str = ""
    attempt: int = 1
    outlets: tuple[int, int] | None = None


class Release(NamedTuple):
    """Let a child's program begin."""

    name: str
    pid: int


class Ready(NamedTuple):
    """The child counts as ready: its lines are no longer reported, and whoever takes the guard over is told so."""

    name: str
    pid: int


class Signal(NamedTuple):
    """Send the signal of this name (`SIGTERM`) to a child's process group.

    `ends`: to ask it to end. From then on, when its first process ends, the rest of its group has time to end too:
    until `Kill`.
    """

    name: str
    pid: int | None
    signal: str
    ends: bool = True


class Kill(NamedTuple):
    """Kill a child's process and all that descends from it."""

    name: str
    pid: int | None


class Policy(NamedTuple):
    """What happens when the launcher is gone: `kill` everything (as long as nothing is said), or `adopt`.

    With `adopt`, `socket_path` is where the next launcher finds the guard.
    """

    on_launcher_death: str
    socket_path: str | None = None


class End(NamedTuple):
    """Kill what is left and end, whatever the policy. The guard closes the connection when nothing is left."""


class Ping(NamedTuple):
    """Say `Pong`, and so that you do not hang. A guard that is too old for it says `Trouble`, which says the same."""


Request = Spawn | Release | Ready | Signal | Kill | Policy | End | Ping


# --- reports: guard to launcher


class Living(NamedTuple):
    """A child that was there before this launcher. `start` as in `Spawned`; `released`: its program has begun."""

    name: str
    pid: int
    start: int
    revision: str
    attempt: int
    released: bool
    ready: bool


class Ended(NamedTuple):
    """A child that ended by itself, and was not spawned again since: what `Exited` said of it, under which `revision`.

    Of its last lines there are fewer: all that ended is told in one line.
    """

    name: str
    pid: int
    code: int
    revision: str
    oom: bool = False
    why: str | None = None
    output: str = ""
    escaped: tuple[str, ...] = ()


class Hello(NamedTuple):
    """The guard is there. `mark` is in the environment of all that descends from it; `boot` names the system's run.

    `cgroup` is the folder of its cgroup where it has one. `children` live, those in `ended` do not any more: whether an
    earlier launcher heard of it or none. What ended while there was none also follows as `Exited`.
    """

    version: int
    pid: int
    start: int
    boot: str
    mark: str
    cgroup: str | None = None
    children: tuple[Living, ...] = ()
    ended: tuple[Ended, ...] = ()


class Spawned(NamedTuple):
    """The process is there and waits at its gate. `start`: clock ticks since boot on Linux, elsewhere Unix ms."""

    name: str
    pid: int
    start: int


class SpawnFailed(NamedTuple):
    """There is no process, and why."""

    name: str
    why: str


class Exited(NamedTuple):
    """A child's process ended, and so has whatever it left behind.

    `code` is its exit code or minus the signal's number; `oom`: memory was what ended it; `why` is said where the guard
    knows more (the program could not be run: 126 or 127); `output` its last lines; `escaped` the processes that it left
    behind and that were killed, as texts: `pid 123 (sleep 100), started by pid 45 (sh)`.
    """

    name: str
    pid: int
    code: int
    oom: bool = False
    why: str | None = None
    output: str = ""
    escaped: tuple[str, ...] = ()


class Line(NamedTuple):
    """A child that is watched wrote a line, or the beginning of one: then a longer one may follow for the same."""

    name: str
    pid: int
    text: str


class Trouble(NamedTuple):
    """Something that a person should know; nothing follows from it. `name` is the child's, if it concerns one."""

    name: str | None
    why: str


class Pong(NamedTuple):
    """The guard has come to a `Ping`."""


Report = Hello | Spawned | SpawnFailed | Exited | Line | Trouble | Pong

_REQUESTS: Final[dict[str, type[Request]]] = {
    kind.__name__: kind for kind in (Spawn, Release, Ready, Signal, Kill, Policy, End, Ping)
}
_REPORTS: Final[dict[str, type[Report]]] = {
    kind.__name__: kind for kind in (Hello, Spawned, SpawnFailed, Exited, Line, Trouble, Pong)
}


# --- bytes and values


def encode(value: Request | Report) -> bytes:
    """Return the line of `value`, with its newline."""
    members: dict[str, Any] = {"kind": type(value).__name__, **value._asdict()}
    if isinstance(value, Hello):
        members["children"] = [child._asdict() for child in value.children]
        members["ended"] = [child._asdict() for child in value.ended]
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def request_of(line: bytes) -> Request:
    """Return the request in a line. Raises ValueError, which says what is wrong, for anything else."""
    request: Request = _value(line, _REQUESTS)
    return request


def report_of(line: bytes) -> Report:
    """Return the report in a line. Raises ValueError, which says what is wrong, for anything else."""
    report: Report = _value(line, _REPORTS)
    return report


class LineBuffer:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """Take bytes and return the lines that are whole now. Raises ValueError for one that is too long."""
        self._rest += received
        if b"\n" not in received:
            if len(self._rest) > LINE_BYTES_MAX:
                raise ValueError(f"a line of more than {LINE_BYTES_MAX} bytes")
            return []
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        return [bytes(line) for line in lines]


def few(texts: Sequence[str]) -> tuple[str, ...]:
    """Return so many of them as a person reads, and how many more there are."""
    more = len(texts) - FEW
    return (*texts[:FEW], *([f"and {more} more"] if more > 0 else []))


def guard_command(fd: int, *, cgroups: bool = True) -> list[str]:
    """Return the command that runs the guard; it speaks over the stream socket `fd`, which it must inherit.

    `cgroups`: use them where the system lets us. It runs without the site packages: the guard needs none of them, and
    starts in half the time.
    """
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard_start.py")
    return [sys.executable, "-I", "-S", program, str(fd), "cgroups" if cgroups else "no-cgroups"]


def _value(line: bytes, kinds: dict[str, Any]) -> Any:
    try:
        members = json.loads(line)
    except RecursionError:
        raise ValueError(f"nested too deep: {line[:200]!r}") from None
    name = members.get("kind") if isinstance(members, dict) else None
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"not one of {', '.join(kinds)}: {line[:200]!r}")
    return _made(kinds[name], members)


def _made(kind: Any, members: Any) -> Any:
    if not isinstance(members, dict):
        raise ValueError(f"{kind.__name__}: expected an object")
    fields = {name: _tupled(members[name]) for name in kind._fields if name in members}
    try:
        if kind is Hello:
            fields["children"] = tuple(_made(Living, child) for child in fields.get("children", ()))
            fields["ended"] = tuple(_made(Ended, child) for child in fields.get("ended", ()))
        return kind(**fields)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
