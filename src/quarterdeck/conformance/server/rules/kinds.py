"""Section 2: stream events are everybody's, in one order; replies their asker's; the run is the epoch of a cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import FRESH, OWN, Book
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import TOPIC, Stage, published
from quarterdeck.conformance.server.talker import Talker, fresh_id, is_stream, registering
from quarterdeck.core.mirror import Mirror
from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema.events import EVENT_NAMES, StreamEvent
from quarterdeck.schema.replies import Snapshot

RULES: Final = Book()

ANOTHER_RUN: Final = "00000000-0000-4000-8000-000000000000"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@RULES.check("2")
def broadcast(stage: Stage) -> None:
    """Stream events go to every registered client, the originator included, in one total order."""
    one, two, three = (stage.join() for _ in range(3))
    for number in range(20):
        for talker in (one, two, three):
            talker.send({**published([talker.name, number]), "id": fresh_id()})
    heard = []
    for talker in (one, two, three):
        lines = _until_ours(talker, 60)
        heard.append([(line["version"], line["payload"]) for line in lines])
    if not heard[0] == heard[1] == heard[2]:
        raise Breach("the same events in the same order on every connection", f"{heard[0][:5]}… and others")
    for name in (one.name, two.name, three.name):
        sent = [payload[1] for _, payload in heard[0] if payload[0] == name]
        if sent != list(range(20)):
            raise Breach(f"what {name} sent, in the order in which it was sent", str(sent))


@RULES.check("2", FRESH)
def first_version(stage: Stage) -> None:
    """Versions start at 1 in each run."""
    talker = stage.connect()
    talker.send({**registering(stage.pid())})
    talker.expect(event="process_spawned", version=1)


@RULES.check("2", OWN)
def replies_take_no_version(stage: Stage) -> None:
    """Replies are never broadcast and never consume a version."""
    other = stage.join()
    talker = stage.join()
    other.ping()
    before = talker.head()
    asked: tuple[Line, ...] = ({"cmd": "get_events", "since": 0}, {"cmd": "fly"}, {"cmd": "subscribe"})
    for command in ({"cmd": "get_snapshot"}, {"cmd": "get_metrics"}, *asked):
        talker.ask(command)
    if talker.head() != before:
        raise Breach(f"version {before} as before the queries", f"version {talker.head()}")
    told = other.ping()
    if told:
        raise Breach("nothing told to others", str(told[0])[:200])


@RULES.check("2")
def order_of_replies(stage: Stage) -> None:
    """Replies and errors leave in the order of their commands."""
    talker = stage.quiet()
    kinds: tuple[tuple[Line, str], ...] = (
        ({"cmd": "ping", "nonce": 1}, "pong"),
        ({"cmd": "get_snapshot"}, "snapshot"),
        ({"cmd": "get_metrics"}, "metrics"),
        ({"cmd": "fly"}, "error"),
        ({"cmd": "get_events", "since": 0, "limit": 1}, "event_list"),
        (published(1), "ack"),
        ({"cmd": "subscribe", "events": ["host_should_quit"]}, "subscribed"),
        ({"cmd": "shutdown"}, "error"),
    )
    asked = [(command, event, f"o{number}") for number, (command, event) in enumerate(kinds * 5)]
    talker.send(*({**command, "id": id} for command, _, id in asked))
    for _, event, id in asked:
        talker.expect(event=event, id=id)


@RULES.check("2")
def events_before_reply(stage: Stage) -> None:
    """A command's events come before its reply."""
    talker = stage.listener("published")
    for _ in range(10):
        id = fresh_id()
        talker.send({**published(id), "id": id})
        before = talker.until(event="ack", id=id)
        if not any(line.get("payload") == id for line in before):
            raise Breach("`published` before the `ack` of its command", "the `ack` first")


@RULES.check("2")
def ping_is_a_fence(stage: Stage) -> None:
    """A `pong` follows every stream event that was told before the `ping` was answered: it asks "have I seen all?"."""
    follower, talker = stage.join(), stage.quiet()
    for number in range(10):
        version = talker.done(published(["fence", number]))["version"]
        before = follower.ping()
        if not any(is_stream(line) and line["version"] == version for line in before):
            raise Breach(f"version {version} before the `pong`, for it was acknowledged to another", "the `pong` first")


@RULES.check("2")
def snapshot_and_stream(stage: Stage) -> None:
    """Snapshot and stream are one cut: what the snapshot at V does not hold comes after it, from V+1 on."""
    follower, talker = stage.join(), stage.quiet()
    for number in range(10):
        talker.send({"cmd": "report_status", "status": {"n": number}}, published(number))
        snapshot = follower.snapshot()
        follower.send({"cmd": "ping", "nonce": number})
        after = [line["version"] for line in follower.until(event="pong") if is_stream(line)]
        if after and after[0] != snapshot["version"] + 1:
            raise Breach(f"version {snapshot['version'] + 1} after the snapshot", f"version {after[0]}")


@RULES.check("2")
def complete(stage: Stage) -> None:
    """The narration is complete: the stream folded over a snapshot is what the next snapshot says."""
    follower = stage.join()
    first = _snapshot_of(follower.snapshot())
    busy = stage.host() if stage.is_alone else stage.join()  # nobody plays the host of an application that is in use
    _live(stage, busy)
    if stage.is_alone:
        _live_as_host(busy)
    before, middle = _lines_to_snapshot(follower)
    _folds_to(first, before, middle)
    busy.goodbye()
    before, last = _lines_to_snapshot(follower)
    _folds_to(middle, before, last)


@RULES.check("2")
def run_id(stage: Stage) -> None:
    """`run_id` is a UUID, the same for every client of a run."""
    runs = {str(stage.join().registered["run_id"]) for _ in range(2)}
    talker = stage.quiet()
    runs.add(str(talker.snapshot()["run_id"]))
    if len(runs) != 1 or not _UUID.fullmatch(min(runs)):
        raise Breach("one UUID", ", ".join(sorted(runs)))


@RULES.check("2")
def run_id_required(stage: Stage) -> None:
    """`run_id` is required with `since` above 0 in `get_events` and `subscribe`."""
    talker = stage.quiet()
    for command in ("get_events", "subscribe"):
        error = talker.refused({"cmd": command, "since": 1}, "invalid_command")
        _names(error, "run_id")
        talker.done({"cmd": command, "since": 0})


@RULES.check("2")
def unknown_run(stage: Stage) -> None:
    """Another run is `unknown_run`, compared first wherever `run_id` is given, and never silence or wrong events."""
    talker = stage.quiet()
    for since in (0, 1, 2**53 - 1):
        for command in ("get_events", "subscribe"):
            talker.refused({"cmd": command, "since": since, "run_id": ANOTHER_RUN}, "unknown_run")
    talker.refused({"cmd": "subscribe", "run_id": ANOTHER_RUN}, "unknown_run")


@RULES.check("2")
def since_above_head(stage: Stage) -> None:
    """A `since` above the newest version is `invalid_command`."""
    talker = stage.quiet()
    run = talker.registered["run_id"]
    for command in ("get_events", "subscribe"):
        _names(talker.refused({"cmd": command, "since": 2**53 - 1, "run_id": run}, "invalid_command"), "since")
        talker.done({"cmd": command, "since": talker.head(), "run_id": run})


def _until_ours(talker: Talker, count: int) -> list[Line]:
    """The next `published` events of this check, however many others come between."""
    taken: list[Line] = []
    while len(taken) < count:
        taken.append(talker.until(event="published", topic=TOPIC)[-1])
    return taken


def _live(stage: Stage, talker: Talker) -> None:
    """Do a bit of everything of a process that a snapshot shows."""
    talker.done({"cmd": "report_status", "status": {"a": [1, None, "é"]}})
    talker.done({"cmd": "report_status", "status": {}})
    stage.join().close()
    stage.join("srv").goodbye()


def _live_as_host(host: Talker) -> None:
    """Do a bit of everything else."""
    done = host.done
    rect = {"left": 0, "top": 0, "right": 1920, "bottom": 1080}
    done({"cmd": "report_monitor_topology_changed", "rects": [rect]})
    done({"cmd": "report_background_service_enabled", "enabled": True})
    for label in ("b", "a"):
        done({"cmd": "report_window_opened", "label": label, "kind": "full_instance", "parent_label": None})
    done({"cmd": "report_hwnd_opened", "hwnd": 7, "class_name": "", "title": "", "label_hint": "a"})
    done({"cmd": "report_hwnd_visibility_changed", "hwnd": 7, "visible": True})
    done({"cmd": "report_hwnd_foreground_changed", "hwnd": 7})
    done({"cmd": "report_hwnd_iconic_changed", "hwnd": 7, "iconic": True})
    done({"cmd": "report_hwnd_position_changed", "hwnd": 7, "rect": {**rect, "right": 100}})
    done({"cmd": "report_backend_window_id_registered", "label": "a", "window_id": "w"})
    done({"cmd": "report_backend_window_id_registered", "label": "b", "window_id": "v"})
    done({"cmd": "report_pool_window_added", "label": "p"})
    done({"cmd": "report_pool_window_added", "label": "q"})
    done({"cmd": "report_pool_window_promoted", "label": "p"})
    done({"cmd": "report_window_closed", "label": "b"})
    done({"cmd": "report_background_service_enabled", "enabled": False})


def _lines_to_snapshot(follower: Talker) -> tuple[list[Line], Snapshot]:
    id = fresh_id()
    follower.send({"cmd": "get_snapshot", "id": id})
    *before, snapshot = follower.until(event="snapshot", id=id)
    return before, _snapshot_of(snapshot)


def _snapshot_of(line: Line) -> Snapshot:
    try:
        return msgspec.structs.replace(msgspec.convert(line, Snapshot), id=None)
    except msgspec.ValidationError as error:
        raise Breach("a snapshot with the members of the protocol's table", str(error)) from None


def _folds_to(first: Snapshot, lines: Iterable[Line], last: Snapshot) -> None:
    mirror = Mirror(first)
    for line in filter(is_stream, lines):
        if line["event"] not in EVENT_NAMES:
            mirror.pass_over(line["version"])  # an application's own
            continue
        try:
            mirror.apply(msgspec.convert(line, StreamEvent))
        except (KeyError, RemoteProtocolError, msgspec.ValidationError) as error:
            raise Breach("events that fold over the snapshot before them", f"{line['event']}: {error}") from None
    folded = mirror.snapshot()
    for name in Snapshot.__struct_fields__:
        if getattr(folded, name) != getattr(last, name):
            raise Breach(
                f"`{name}` of the snapshot as the events before it tell it: {getattr(folded, name)}"[:400],
                str(getattr(last, name))[:400],
            )


def _names(error: Line, member: str) -> None:
    if member not in str(error.get("message")):
        raise Breach(f"a message that names the member `{member}`", str(error.get("message")))
