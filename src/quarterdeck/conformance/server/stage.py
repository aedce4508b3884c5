"""Stage: where one check is played. It gives connections and pids, and puts everything away at the end."""

from __future__ import annotations

import os
import string
from typing import Any, Final

from quarterdeck.conformance.rules import Breach, Ledger, NotApplicable
from quarterdeck.conformance.server.hearing import Hearing, Line
from quarterdeck.conformance.server.launchers import OwnLauncher
from quarterdeck.conformance.server.standins import StandIns
from quarterdeck.conformance.server.talker import Talker, registering
from quarterdeck.conformance.transcript import Transcript
from quarterdeck.transport import connect

TOPIC: Final = "quarterdeck.conform"
"""What every `publish` of ours is about, so that an application can tell it from its own."""
NO_EVENTS: Final = {"events": ["host_should_quit"]}
"""A subscription that hardly anything comes for."""
LOG_LINES: Final = 5


class Stage:
    """The launcher under check at `endpoint`; `launcher` is there where it is one of our own."""

    def __init__(self, endpoint: str, launcher: OwnLauncher | None, ledger: Ledger, patience_s: float) -> None:
        self.endpoint = endpoint
        self.launcher = launcher
        self.patience_s = patience_s
        self.transcript = Transcript()
        self._ledger = ledger
        self._talkers: list[Talker] = []
        self._stand_ins = StandIns()

    @property
    def is_alone(self) -> bool:
        """Whether all that happens on this launcher is our own doing."""
        return self.launcher is not None

    @property
    def own(self) -> OwnLauncher:
        """The launcher, where it is one of our own. Raises: NotApplicable."""
        if self.launcher is None:
            raise NotApplicable("it needs a launcher that is started for it")
        return self.launcher

    def try_out(self) -> None:
        """See that somebody listens. Raises: NoLauncher, EndpointRefused, Timeout."""
        self.connect()
        self.close()

    def evidence(self) -> tuple[str, ...]:
        """The last lines, and what a launcher of our own logged last."""
        logged = self.launcher.said().splitlines()[-LOG_LINES:] if self.launcher is not None else []
        return (*self.transcript.shown(), *(f"log {line}" for line in logged))

    # --- Connections

    def connect(self) -> Talker:
        """A new connection."""
        number = len(self._talkers)
        name = string.ascii_uppercase[number] if number < len(string.ascii_uppercase) else f"C{number}"
        stream = connect(self.endpoint, timeout_s=self.patience_s)
        talker = Talker(name, stream, Hearing(self._ledger, self.transcript), self.transcript, self.patience_s)
        self._talkers.append(talker)
        return talker

    def join(self, kind: str = "tool", *, pid: int | None = None, **members: Any) -> Talker:
        """A new connection that is registered, under a pid of its own; without a subscription it follows everything."""
        talker = self.connect()
        talker.register(pid or self.pid(), kind, **members)
        return talker

    def quiet(self, kind: str = "tool") -> Talker:
        """A registered connection that is sent no stream events."""
        return self.join(kind, subscribe=NO_EVENTS)

    def listener(self, *events: str) -> Talker:
        """A registered connection that is sent only these events."""
        return self.join(subscribe={"events": list(events)})

    def host(self) -> Talker:
        """A registered host that follows everything. Raises: NotApplicable where there is a host already."""
        talker = self.connect()
        pid = self.pid()
        talker.send(registering(pid, "host"))
        while True:
            line = talker.line("`registered`")
            if line.get("event") == "registered":
                talker.pid, talker.registered, talker.is_host = pid, line, True
                return talker
            if line.get("event") == "error":
                if line.get("code") in {"conflict", "forbidden"}:
                    raise NotApplicable(f"nobody else may be its host: {line.get('message')}")
                raise Breach("`registered`", str(line))

    # --- Processes

    def pid(self) -> int:
        """The pid of a process of ours that registered nowhere."""
        return self._stand_ins.new().pid

    @property
    def stand_ins(self) -> StandIns:
        """Processes that do nothing."""
        return self._stand_ins

    def close(self) -> None:
        """Leave as clients leave; a host with a goodbye, for else its windows would be orphans in the next check."""
        for talker in self._talkers:
            if talker.is_host and talker.is_open:
                try:
                    talker.goodbye()
                except Breach:
                    pass
            talker.close()
        self._stand_ins.close()


def published(payload: Any) -> Line:
    """A `publish`."""
    return {"cmd": "publish", "topic": TOPIC, "payload": payload}


def unix_only() -> NotApplicable:
    """What a check raises where there are no Unix sockets and signals."""
    return NotApplicable("it speaks of Unix")


def own_pid() -> int:
    """The pid that the kernel tells a launcher of our connections."""
    return os.getpid()
