"""Section 8: who reads slowly, or not at all, hurts nobody and is told what he missed."""

from __future__ import annotations

from typing import Any, Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import CONSENT, Book, with_settings
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import Stage, published
from quarterdeck.conformance.server.talker import Talker, is_stream

RULES: Final = Book()

RING: Final = 32
SHORT_HISTORY: Final = with_settings(f"limits.ring_events={RING}", "limits.write_buffer_bytes=4096", "journal=off")
BLOCK: Final = "x" * 8_000
BLOCKS: Final = 400
"""Together well above what the kernel and the launcher write ahead to one connection."""


@RULES.check("8", CONSENT)
def stopped_reader(stage: Stage) -> None:
    """A stopped reader slows nobody down, and misses nothing that history still holds."""
    deaf, other = stage.join(), stage.join()
    since = deaf.head()
    _publish(stage.quiet(), beside=other)
    versions = [line["version"] for line in deaf.ping() if is_stream(line)]
    if len(versions) < BLOCKS or versions != list(range(since + 1, since + 1 + len(versions))):
        raise Breach(f"every version from {since + 1} on", f"{len(versions)} events, {versions[:3]}…{versions[-3:]}")


@RULES.check("8", SHORT_HISTORY)
def lagged_gap(stage: Stage) -> None:
    """`slow` `gap`: `lagged` has the exact range that is not sent, up to the version before the oldest held; the stream
    goes on there.
    """
    deaf, head = _fall_behind(stage, "gap")
    before, lagged = _lag(deaf)
    _is_range(before, lagged, to=head - RING)
    after = [line["version"] for line in _up_to(deaf, head) if is_stream(line)]
    if after != list(range(head - RING + 1, head + 1)):
        raise Breach(f"versions {head - RING + 1} to {head}", str(after))


@RULES.check("8", SHORT_HISTORY)
def lagged_snapshot(stage: Stage) -> None:
    """`slow` `snapshot`: `lagged`, whose `to` is the version of the fresh `snapshot` that follows, and the stream after
    it.
    """
    deaf, head = _fall_behind(stage, "snapshot")
    before, lagged = _lag(deaf)
    _is_range(before, lagged, to=head)
    deaf.expect(event="snapshot", version=head)
    deaf.send(published("on it goes"))
    deaf.expect(event="published", version=head + 1)


@RULES.check("8", SHORT_HISTORY)
def lagged_disconnect(stage: Stage) -> None:
    """`slow` `disconnect`: `lagged`, whose `to` is the head, then error `lagging`, fatal; it is told as `evicted`."""
    watcher = stage.listener("process_exited")
    deaf, head = _fall_behind(stage, "disconnect")
    before, lagged = _lag(deaf)
    _is_range(before, lagged, to=head)
    deaf.expect(event="error", code="lagging", fatal=True)
    deaf.expect_end()
    told = watcher.until(event="process_exited", pid=deaf.pid)[-1]
    if (told["reason"], told["code"]) != ("evicted", -1):
        raise Breach("evicted, -1", str(told))


@RULES.check("8", CONSENT)
def replies_kept(stage: Stage) -> None:
    """Replies are never dropped, however many wait; meanwhile others are answered."""
    talker, other = stage.quiet(), stage.quiet()
    for number in range(20):
        talker.done(published([number, "x" * 50_000]))
    since, run = talker.head() - 20, talker.registered["run_id"]
    ask = {"cmd": "get_events", "since": since, "run_id": run, "limit": 20}
    talker.send(*({**ask, "id": number} for number in range(50)), {"cmd": "ping", "nonce": 1})
    other.ping()
    for number in range(50):
        talker.expect(event="event_list", id=number)
    talker.expect(event="pong", nonce=1)


@RULES.check("8")
def snapshot_in_its_turn(stage: Stage) -> None:
    """A client's later commands wait for the `snapshot` that it asked for."""
    talker = stage.quiet()
    for number in range(20):
        talker.send({"cmd": "get_snapshot", "id": f"s{number}"}, {"cmd": "report_status", "status": {"n": number}})
    for number in range(20):
        snapshot = talker.until(event="snapshot", id=f"s{number}")[-1]
        rows = [row["status"] for row in snapshot["processes"] if row["pid"] == talker.pid]
        wanted = {"n": number - 1} if number else None
        if rows != [wanted]:
            raise Breach(f"status {wanted}, for what was sent after the `get_snapshot` waits", str(rows))


def _publish(busy: Talker, beside: Talker | None = None) -> int:
    """Publish more than is written ahead; the version of the last event."""
    for _ in range(BLOCKS // 10):
        busy.send(*(published(BLOCK) for _ in range(10)))
        busy.ping()
        if beside is not None:
            beside.ping()
    return busy.head()


def _fall_behind(stage: Stage, slow: str) -> tuple[Talker, int]:
    """A subscriber that did not read what was published, and the head."""
    busy = stage.quiet()
    subscription: dict[str, Any] = {"slow": slow}
    deaf = stage.join(subscribe=subscription)
    return deaf, _publish(busy)


def _lag(deaf: Talker) -> tuple[list[Line], Line]:
    *before, lagged = deaf.until(event="lagged")
    return before, lagged


def _is_range(before: list[Line], lagged: Line, to: int) -> None:
    versions = [line["version"] for line in before if is_stream(line)]
    wanted = {"from": versions[-1] + 1 if versions else lagged["from"], "to": to, "version": to}
    if {key: lagged[key] for key in wanted} != wanted:
        raise Breach(str(wanted), str(lagged))


def _up_to(talker: Talker, version: int) -> list[Line]:
    lines: list[Line] = []
    while not lines or lines[-1].get("version") != version:
        lines.append(talker.line(f"version {version}"))
    return lines
