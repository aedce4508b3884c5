"""Whatever clients do to a launcher on real sockets, in whatever order: one stream without a gap, one exit for each
registration with the right reason, and a snapshot that the stream folds to. HYPOTHESIS_PROFILE=long does much more.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from quarterdeck.core.mirror import Mirror
from quarterdeck.schema.events import StreamEvent
from quarterdeck.schema.replies import Snapshot
from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Line, Raw, encoded, is_stream, publish, versions

BAD_LINES = 4
KINDS = st.sampled_from(["tool", "srv", "renderer", "host"])
NOISE = st.one_of(st.binary(max_size=40), st.sampled_from([b"bad", b"", b'{"cmd":"ping"}', b"{" * 70, b"x" * 400]))


def snapshot_of(line: Line) -> Snapshot:
    return msgspec.convert({**line, "id": None}, Snapshot)


class Conversations(RuleBasedStateMachine):
    """Clients of one launcher, which outlives each run of the machine; `ends` is how each pid is to leave."""

    launched: Launched
    clients: Bundle[Any] = Bundle("clients")
    cursors: Bundle[Any] = Bundle("cursors")

    @initialize()
    def watch(self) -> None:
        self.watcher = self.launched.join(subscribe={"snapshot": True})
        self.mirror = Mirror(snapshot_of(self.watcher.snapshot()))
        self.ends: dict[int, str] = {}
        self.exits: dict[int, list[str]] = {}
        self.live: dict[int, Raw] = {}
        self.has_host = False  # one a run: the next could come before the end of the last was seen

    @rule(target=clients, kind=KINDS, listens=st.booleans())
    def join(self, kind: str, listens: bool) -> Any:
        kind = "srv" if kind == "host" and self.has_host else kind
        self.has_host = self.has_host or kind == "host"
        pid = self.launched.new_pid()
        members = {} if listens else {"subscribe": {"events": ["host_should_quit"]}}
        self.live[pid] = self.launched.join(kind, pid, **members)
        return pid, kind

    @rule(client=clients, number=st.integers(1, 5))
    def talk(self, client: Any, number: int) -> None:
        sock = self.live[client[0]]
        sock.send(*(publish(n) for n in range(number)), {"cmd": "report_status", "status": {"n": number}})
        if client[1] == "host":
            sock.send({"cmd": "report_window_opened", "label": f"w{number}", "kind": "subwindow", "parent_label": None})
        sock.ping()

    @rule(client=clients, noise=st.lists(NOISE, max_size=BAD_LINES - 2))
    def babble(self, client: Any, noise: list[bytes]) -> None:
        sock = self.live[client[0]]
        lines = [line.replace(b"\n", b"") for line in noise if b'"cmd":"' not in line]
        sock.send_bytes(b"".join(line + b"\n" for line in lines))
        sock.ping()

    @rule(client=clients, back=st.integers(0, 30))
    def jump(self, client: Any, back: int) -> None:
        """Subscribe to what was told already: it comes again, without a gap."""
        sock = self.live[client[0]]
        head = self.mirror.version
        since = max(0, head - back)
        sock.send({"cmd": "subscribe", "since": since, "run_id": sock.run_id, "id": "jump"})
        sock.until(event="subscribed", id="jump")
        told = versions(sock.ping())
        assert told == list(range(since + 1, since + 1 + len(told)))
        assert len(told) >= head - since

    @rule(target=cursors, client=consumes(clients))
    def cut(self, client: Any) -> int:
        self._leaves(client, "disconnected").close()
        return self.mirror.version

    @rule(client=consumes(clients), words=st.integers(0, 3))
    def half_close(self, client: Any, words: int) -> None:
        sock = self._leaves(client, "disconnected")
        sock.send(*({"cmd": "ping", "nonce": n} for n in range(words)))
        sock.half_close()
        rest = sock.rest()
        assert [line["nonce"] for line in rest if line.get("event") == "pong"] == list(range(words))
        sock.close()

    @rule(client=consumes(clients), reads=st.booleans())
    def say_goodbye(self, client: Any, reads: bool) -> None:
        sock = self._leaves(client, "goodbye")
        sock.send(publish("last"), {"cmd": "goodbye", "id": "bye"}, publish("too late"))
        if reads:
            assert sock.rest()[-1]["event"] == "ack"
        sock.close()

    @rule(client=consumes(clients))
    def be_thrown_out(self, client: Any) -> None:
        sock = self._leaves(client, "evicted")
        sock.send_bytes(b"bad\n" * BAD_LINES + encoded(publish("too late")))
        assert sock.rest()[-1]["fatal"]
        sock.close()

    @rule(target=clients, cursor=consumes(cursors))
    def resume(self, cursor: int) -> Any:
        pid = self.launched.new_pid()
        sock = self.launched.join(pid=pid, subscribe={"since": cursor, "run_id": self.watcher.run_id})
        told = versions(sock.ping())
        assert told == list(range(cursor + 1, cursor + 1 + len(told)))
        self.live[pid] = sock
        return pid, "tool"

    @rule()
    def pass_by(self) -> None:
        """Somebody who never registers."""
        stranger = self.launched.connect()
        stranger.send_bytes(b'{"cmd":"pi')
        stranger.close()

    @invariant()
    def the_stream_folds_to_the_snapshot(self) -> None:
        if not hasattr(self, "watcher"):
            return
        self._follow(self.watcher.ping())
        self.watcher.send({"cmd": "get_snapshot", "id": "now"})
        *lines, now = self.watcher.until(event="snapshot", id="now")
        self._follow(lines)
        assert self.mirror.snapshot() == snapshot_of(now)

    def teardown(self) -> None:
        if not hasattr(self, "watcher"):
            return
        for pid, sock in self.live.items():
            sock.close()
            self.ends[pid] = "disconnected"
        while self.exits.keys() != self.ends.keys():
            self._follow(self.watcher.until(event="process_exited"))
        self._follow(self.watcher.ping())
        assert self.exits == {pid: [reason] for pid, reason in self.ends.items()}
        self.watcher.close()

    def _leaves(self, client: Any, reason: str) -> Raw:
        self.ends[client[0]] = reason
        return self.live.pop(client[0])

    def _follow(self, lines: list[Line]) -> None:
        for line in filter(is_stream, lines):
            assert line["version"] == self.mirror.version + 1
            self.mirror.apply(msgspec.convert(line, StreamEvent))
            assert line.get("payload") != "too late"
            if line["event"] == "process_exited":
                self.exits.setdefault(line["pid"], []).append(line["reason"])


def test_conversations(launch: Launch) -> None:
    is_long = os.environ.get("HYPOTHESIS_PROFILE") == "long"
    Conversations.launched = launch(bad_lines=BAD_LINES, max_line_bytes=300, journal="off")
    run_state_machine_as_test(
        Conversations,
        settings=settings(
            max_examples=300 if is_long else 12,
            stateful_step_count=50 if is_long else 20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
