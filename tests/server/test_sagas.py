"""Sagas over real sockets: many at once, answered in any order, some with a failure, some never; hosts and launchers
that die in the middle. Every saga ends exactly once, and for the right reason (semantics, "Sagas").
"""

from __future__ import annotations

import asyncio
import io
import random
import shutil
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from quarterdeck.core.step import Tick
from quarterdeck.server.portable import export_journal, import_journal
from quarterdeck.server.replay import replay
from tests.property.deck import Deck, Pipe, lines_of, register_line
from tests.server.conftest import Launch
from tests.server.journalled import NAME, Kept, replayed
from tests.server.launched import Launched, short_folder
from tests.server.raw import Line, Raw, encoded

COUNT = 50
RESPAWN, CLEANUP = "pool_respawn_on_promote", "window_cleanup_cascade"


def opened(label: str) -> Line:
    return {"cmd": "report_window_opened", "label": label, "kind": "full_instance", "parent_label": None}


def closed(label: str) -> Line:
    return {"cmd": "report_window_closed", "label": label}


def promoted(label: str) -> Line:
    return {"cmd": "report_pool_window_promoted", "label": label}


def failed(saga_id: int, reason: str = "no memory") -> Line:
    return {"cmd": "report_saga_action_failed", "saga_id": saga_id, "reason": reason}


def answer_to(directive: Line, was_last: bool = False) -> Line:
    """What a host says that has done what it was asked."""
    label, saga_id = directive.get("label", f"warm {directive['saga_id']}"), directive["saga_id"]
    match directive["cmd"]:
        case "spawn_pool_window":
            return {"cmd": "report_pool_window_added", "label": label, "saga_id": saga_id}
        case "reap_panes":
            return {"cmd": "report_panes_reaped", "label": label, "saga_id": saga_id}
    assert directive["cmd"] == "drain_pool_if_last"
    return {"cmd": "report_pool_drain_decision", "label": label, "was_last": was_last, "saga_id": saga_id}


def directives(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.get("kind") == "command" and "cmd" in line]


def heard(host: Raw) -> list[Line]:
    """What a host is sent because of what it said: directives come behind the replies of their turn, and so behind the
    first pong.
    """
    return host.ping() + host.ping()


class Told:
    """What a stream tells of sagas: each begins once and ends at most once, and nothing is asked for it after that."""

    def __init__(self, lines: list[Line]) -> None:
        self.names: dict[int, str] = {}
        self.ends: dict[int, str] = {}
        asked: Counter[tuple[str, int]] = Counter()
        for line in lines:
            if "cmd" in line:
                saga_id = line["saga_id"]
                assert saga_id in self.names, "asked before it began"
                assert saga_id not in self.ends, "asked after it ended"
                asked[line["cmd"], saga_id] += 1
            elif line.get("event") == "saga_started":
                assert line["saga_id"] not in self.names
                self.names[line["saga_id"]] = line["name"]
            elif line.get("event") in ("saga_completed", "saga_failed"):
                assert line["saga_id"] in self.names
                assert line["saga_id"] not in self.ends, "a saga ends once"
                self.ends[line["saga_id"]] = line.get("reason", "completed")
        assert set(asked.values()) <= {1}, "asked twice"

    def of(self, name: str) -> list[int]:
        return [saga_id for saga_id, other in self.names.items() if other == name]


class Host:
    """A host that has been asked for many things at once, and answers as a plan says: `right`, `failed`, `never`."""

    PLANS = ("right", "right twice", "failed", "failed later", "never", "never later")

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.plans: dict[int, str] = {}
        self.waiting: list[Line] = []

    def begin(self) -> list[Line]:
        """Windows that open, then as many promotions and closes, mixed."""
        at_once = [promoted(f"p{number}") for number in range(COUNT)] + [
            closed(f"w{number}") for number in range(COUNT)
        ]
        self._draw.shuffle(at_once)
        return [*(opened(f"w{number}") for number in range(COUNT)), *at_once]

    def answers(self, asked: list[Line]) -> list[Line]:
        """What it says to these directives, some of it later, in an order of its own."""
        self.waiting += asked
        self._draw.shuffle(self.waiting)
        now = [self.waiting.pop() for _ in range(len(self.waiting) // 2 + 1) if self.waiting]
        return [line for directive in now for line in self._say(directive)]

    def _say(self, directive: Line) -> Iterator[Line]:
        saga_id = directive["saga_id"]
        plan = self.plans.setdefault(saga_id, self.PLANS[len(self.plans) % len(self.PLANS)])
        is_later = directive["cmd"] == "drain_pool_if_last"
        if plan == "failed" or (plan == "failed later" and is_later):
            yield failed(saga_id)
        elif plan != "never" and not (plan == "never later" and is_later):
            yield answer_to(directive)
        if plan == "right twice":
            yield answer_to(directive)

    def expected(self, told: Told, end_of_others: str) -> dict[int, str]:
        """How each saga ends."""
        respawns = set(told.of(RESPAWN))  # these are asked one thing only
        ends = {"right": "completed", "right twice": "completed", "failed": "no memory", "never": end_of_others}
        later = {"failed later": "no memory", "never later": end_of_others}
        return {
            saga_id: "completed" if plan in later and saga_id in respawns else (ends | later)[plan]
            for saga_id, plan in self.plans.items()
        }


# --- many at once


@pytest.mark.parametrize("seed", range(3))
def test_many_at_once_answered_out_of_order_with_failures_or_never_end_once_and_rightly(
    launch: Launch, loop: str, seed: int
) -> None:
    launched = launch(loop=loop)
    host, watcher = launched.join("host"), launched.join()
    plan = Host(random.Random(seed))
    host.send(*plan.begin())
    seen = heard(host)
    asked = directives(seen)
    while len(plan.plans) < 2 * COUNT or asked or plan.waiting:
        host.send(*plan.answers(asked))
        lines = heard(host)
        seen += lines
        asked = directives(lines)
    host.close()
    stream = watcher.until(event="process_exited")
    told, of_host = Told(stream + watcher.ping()), Told(seen)
    assert (len(told.of(RESPAWN)), len(told.of(CLEANUP))) == (COUNT, COUNT)
    assert told.ends == plan.expected(told, "host gone")
    assert set(told.ends.values()) == {"completed", "no memory", "host gone"}
    assert of_host.names == told.names
    assert watcher.snapshot()["sagas"] == []
    replayed(launched.folder, watcher.run_id)


def decked(play: Callable[[Deck, Pipe, Pipe], Awaitable[None]]) -> None:
    """Play with a launcher in memory, whose clock the test turns, a host and a watcher."""

    async def run() -> None:
        deck = Deck()
        host, watcher = deck.connect(), deck.connect()
        await deck.say(host, register_line(101, "host"))
        await deck.say(watcher, register_line(102))
        await play(deck, host, watcher)
        await deck.close()

    asyncio.run(run())


async def say(deck: Deck, pipe: Pipe, *lines: Line) -> list[Line]:
    return lines_of(await deck.say(pipe, encoded(*lines).rstrip(b"\n")))


async def tick(deck: Deck) -> None:
    """The alarm rings: it goes by the loop's clock, which no test turns."""
    deck.engine.observe(Tick(), "clock")
    await deck.settle()


def test_those_that_are_never_answered_end_by_their_deadline() -> None:
    async def play(deck: Deck, host: Pipe, watcher: Pipe) -> None:
        plan = Host(random.Random(7))
        asked = directives(await say(deck, host, *plan.begin()))
        while len(plan.plans) < 2 * COUNT or asked or plan.waiting:
            asked = directives(await say(deck, host, *plan.answers(asked)))
        still_open = set(deck.engine.state.sagas)
        deck.clock.advance(29_999)
        await tick(deck)
        await say(deck, host, promoted("one more"))
        assert len(deck.engine.state.sagas) == len(still_open) + 1
        deck.clock.advance(1)
        await tick(deck)
        told = Told(lines_of(watcher.take()))
        *of_plan, last = told.names
        assert {saga_id for saga_id, end in told.ends.items() if end == "deadline"} == still_open
        assert {saga_id: told.ends[saga_id] for saga_id in of_plan} == plan.expected(told, "deadline")
        assert set(deck.engine.state.sagas) == {last}

    decked(play)


def test_more_than_the_limit_begin_and_fail_at_once() -> None:
    async def play(deck: Deck, host: Pipe, watcher: Pipe) -> None:
        asked = directives(await say(deck, host, *(promoted(f"p{number}") for number in range(1_100))))
        assert len(asked) == 1_024
        told = Told(lines_of(watcher.take()))
        assert Counter(told.ends.values()) == {"limit reached": 76}
        assert sorted(set(told.names) - set(told.ends)) == sorted(directive["saga_id"] for directive in asked)

    decked(play)


# --- a host that does not read


def test_a_host_that_reads_late_is_asked_only_what_somebody_still_waits_for() -> None:
    async def play(deck: Deck, host: Pipe, watcher: Pipe) -> None:
        host.full = True
        await say(deck, host, *(promoted(f"p{number}") for number in range(300)))
        ids = list(deck.engine.state.sagas)
        peer = deck.engine.registrations.peer_of(101)
        assert peer is not None
        for saga_id in ids[:-1]:
            await say(deck, host, failed(saga_id))
        await say(deck, host, *(promoted(f"q{number}") for number in range(300)))
        for saga_id in list(deck.engine.state.sagas)[1:]:
            await say(deck, host, failed(saga_id))
        assert len(peer.outbox.entries) < 700, "what was withdrawn does not pile up"
        host.empty()
        await deck.settle()
        received = lines_of(host.take())
        assert [directive["saga_id"] for directive in directives(received)] == [ids[-1]]
        assert Told(received).names == Told(lines_of(watcher.take())).names

    decked(play)


# --- who dies in the middle


def test_a_host_that_crashes_fails_its_sagas_and_the_next_one_is_asked_nothing_of_them(launch: Launch) -> None:
    launched = launch()
    host, watcher = launched.join("host"), launched.join()
    host.send(opened("a"), opened("b"), closed("a"), promoted("p"))
    first, second = (directive["saga_id"] for directive in directives(heard(host)))
    host.close()
    stream = watcher.until(event="windows_orphaned")
    for saga_id in (first, second):
        watcher.expect(event="saga_failed", saga_id=saga_id, reason="host gone")
    next_host = launched.join("host")
    next_host.send(answer_to({"cmd": "reap_panes", "label": "a", "saga_id": first}), failed(second))
    assert directives(heard(next_host)) == []
    told = Told(stream + watcher.ping())
    assert set(told.names) == {first, second}
    next_host.send(promoted("q"))
    (asked,) = directives(heard(next_host))
    assert asked["saga_id"] == second + 1
    next_host.send(answer_to(asked))
    assert watcher.until(event="saga_completed")[-1]["saga_id"] == asked["saga_id"]
    replayed(launched.folder, watcher.run_id)


def test_a_launcher_that_is_killed_leaves_none_open_in_its_record(tmp_path: Path) -> None:
    folder = short_folder()
    launched = Launched({"pid_check": "off"}, folder)
    host = launched.join("host")
    host.send(opened("a"), opened("b"), closed("a"), promoted("p"), promoted("q"))
    asked = directives(heard(host))
    host.send(answer_to(asked[1]))
    stream = heard(host)
    run_id, ids = host.run_id, [directive["saga_id"] for directive in asked]
    assert stream[-1]["event"] == "saga_completed"
    launched.end(signal.SIGKILL)  # before the host is gone, whose end it would still hear
    host.close()
    assert launched.process.stdout is not None
    launched.process.stdout.close()
    again = Launched({"pid_check": "off"}, folder)
    try:
        kept = Kept(folder, run_id)
        ends = [(event["saga_id"], event["reason"]) for event in kept.events if event["event"] == "saga_failed"]
        assert ends == [(ids[0], "launcher restarted"), (ids[2], "launcher restarted")]
        assert kept.versions == list(range(1, stream[-1]["version"] + 3))
        replayed(folder, run_id)
        late_answers_are_nobodys(again, asked)
        assert_portable(folder, tmp_path / "again.sqlite3")
    finally:
        again.put_away()
        shutil.rmtree(folder)


def late_answers_are_nobodys(launched: Launched, asked: list[Line]) -> None:
    """A host that lived on says to the new run what the old one had asked for."""
    host = launched.join("host")
    assert host.snapshot()["sagas"] == []
    for directive in asked:
        host.send(answer_to(directive))
    lines = heard(host)
    assert [line["event"] for line in lines] == ["panes_reaped", "pool_window_added", "pool_window_added"]
    host.send(promoted("r"))
    (new,) = directives(heard(host))
    assert new["saga_id"] > max(directive["saga_id"] for directive in asked)


def assert_portable(folder: Path, again: Path) -> None:
    """The record goes through export and import as it is."""
    text = io.BytesIO()
    export_journal(folder / NAME, text.write)
    text.seek(0)
    import_journal(text, again)
    assert all(run.is_equal for run in replay(again))


def test_without_the_launcher_s_own_sagas_the_host_is_asked_nothing(launch: Launch) -> None:
    launched = launch(builtin_sagas="false")
    host: Raw = launched.join("host")
    host.send(opened("a"), closed("a"), promoted("p"))
    assert [line["event"] for line in heard(host) if "saga" in str(line)] == []
