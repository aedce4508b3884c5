"""Section 6: what each reply says, and the first lines after `register`. Members are looked at whenever one comes."""

from __future__ import annotations

from typing import Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import CONSENT, FRESH, OWN, Book
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.rules.kinds import ANOTHER_RUN
from quarterdeck.conformance.server.stage import Stage, published
from quarterdeck.conformance.server.talker import Talker, encoded, is_stream, names, registering
from quarterdeck.schema.types import INTEGER_MAX, U64_MAX

RULES: Final = Book()

BOOKMARK_AFTER: Final = 1_024
LIST_BYTES_MAX: Final = 1_048_576
DEFAULT_LIMIT: Final = 1_000


@RULES.check("6")
def registered_says(stage: Stage) -> None:
    """`registered` tells the launcher's pid, protocol 1 and the longest line; each client of a run has another
    `client_id`.
    """
    first, second = stage.join().registered, stage.join().registered
    if first["protocol"] != 1 or isinstance(first["protocol"], bool) or first["max_line_bytes"] < 1:
        raise Breach("protocol 1, and a longest line", str(first))
    if stage.launcher is not None and first["launcher_pid"] != stage.launcher.pid:
        raise Breach(f"launcher_pid {stage.launcher.pid}", str(first["launcher_pid"]))
    if not 1 <= first["client_id"] < second["client_id"]:
        raise Breach("a `client_id` that goes up", f"{first['client_id']}, then {second['client_id']}")


@RULES.check("6", FRESH)
def client_ids(stage: Stage) -> None:
    """`client_id` is 1, 2, 3… per run."""
    ids = [stage.join().registered["client_id"] for _ in range(3)]
    if ids != [1, 2, 3]:
        raise Breach("1, 2, 3", str(ids))


@RULES.check("6")
def pong_echoes(stage: Stage) -> None:
    """`pong` has the nonce of its `ping`, any u64."""
    talker = stage.quiet()
    for nonce in (0, 1, INTEGER_MAX, 2**63, U64_MAX):
        talker.send({"cmd": "ping", "nonce": nonce})
        talker.expect(event="pong", nonce=nonce)


# --- The first lines after `register`


@RULES.check("6")
def plain_register(stage: Stage) -> None:
    """First lines after a plain `register`: `process_spawned`, perhaps `lifecycle_phase_changed`, `registered`."""
    talker = stage.connect()
    pid = stage.pid()
    talker.send({**registering(pid), "id": "r"})
    first = talker.expect(event="process_spawned", pid=pid)
    last = talker.until(event="registered", id="r")[-1]
    if stage.is_alone and last["version"] != first["version"]:
        raise Breach(f"version {first['version']} in `registered`", str(last["version"]))


@RULES.check("6")
def register_and_subscribe(stage: Stage) -> None:
    """With `subscribe` in `register`: `registered`, `subscribed` at the version before the client's own
    `process_spawned`, which then follows if it matches.
    """
    for subscription, follows in (({}, True), ({"events": ["process_*"]}, True), ({"events": ["published"]}, False)):
        talker = stage.connect()
        pid = stage.pid()
        talker.send({**registering(pid), "subscribe": subscription})
        registered = talker.expect(event="registered")
        subscribed = talker.expect(event="subscribed", truncated=False)
        if stage.is_alone and subscribed["version"] != registered["version"] - 1:
            raise Breach(f"subscribed at {registered['version'] - 1}", str(subscribed))
        spawned = [line for line in talker.ping() if line.get("event") == "process_spawned" and line.get("pid") == pid]
        if bool(spawned) is not follows:
            raise Breach(f"its own `process_spawned` {'after' if follows else 'not after'} it", str(spawned))


@RULES.check("6")
def register_with_snapshot(stage: Stage) -> None:
    """With `snapshot`: `registered`, `snapshot`, `subscribed`; the client is in it, its `process_spawned` not sent."""
    talker = stage.connect()
    pid = stage.pid()
    talker.send({**registering(pid), "subscribe": {"snapshot": True}})
    talker.expect(event="registered")
    snapshot = talker.expect(event="snapshot")
    talker.expect(event="subscribed", version=snapshot["version"], truncated=False)
    if not any(row["pid"] == pid and row["state"] == "running" for row in snapshot["processes"]):
        raise Breach(f"pid {pid} in the snapshot", str(snapshot["processes"])[:300])
    if any(line.get("event") == "process_spawned" and line.get("pid") == pid for line in talker.ping()):
        raise Breach("no `process_spawned` of its own", "it came after the snapshot that holds it")


@RULES.check("6")
def register_with_since(stage: Stage) -> None:
    """With `since`: `registered`, `subscribed` at `since`, then what was missed, its own `process_spawned` among it."""
    busy = stage.quiet()
    since, run = busy.head(), busy.registered["run_id"]
    busy.done(published("missed"))
    talker = stage.connect()
    pid = stage.pid()
    talker.send({**registering(pid), "subscribe": {"since": since, "run_id": run}})
    talker.expect(event="registered")
    talker.expect(event="subscribed", version=since, truncated=False)
    lines = talker.until(event="process_spawned", pid=pid)
    if "missed" not in [line.get("payload") for line in lines]:
        raise Breach("what was missed, before its own `process_spawned`", str(names(lines)))


@RULES.check("6")
def inner_subscribe_refused(stage: Stage) -> None:
    """If the inner subscribe is refused, `register` is refused whole with that one error and nothing changes; the
    connection may register again.
    """
    watcher, talker = stage.join(), stage.connect()
    pid = stage.pid()
    for number, (subscription, code) in enumerate(
        (
            ({"since": 5, "run_id": ANOTHER_RUN}, "unknown_run"),
            ({"since": INTEGER_MAX, "run_id": watcher.registered["run_id"]}, "invalid_command"),
            ({"events": ["no_such_event"]}, "invalid_command"),
            ({"since": 5}, "invalid_command"),
            ({"since": 0, "snapshot": True}, "invalid_command"),
        )
    ):
        talker.send({**registering(pid), "subscribe": subscription, "id": number})
        talker.expect(event="error", code=code, fatal=False, id=number)
    if any(line.get("pid") == pid for line in watcher.ping()):
        raise Breach(f"nothing told of pid {pid}", "it was told")
    talker.register(pid, subscribe={"snapshot": True})


# --- Snapshots


@RULES.check("6")
def snapshot_sorted(stage: Stage) -> None:
    """Every list of a snapshot but `monitors` is sorted by its key."""
    host = stage.host() if stage.is_alone else stage.quiet()
    for _ in range(3):
        stage.quiet()
    if stage.is_alone:
        for label in ("b", "é", "a", "\U0001f600", "\uffff", "B"):
            host.done({"cmd": "report_window_opened", "label": label, "kind": "subwindow", "parent_label": None})
            host.done({"cmd": "report_pool_window_added", "label": label + "pool"})
            host.done({"cmd": "report_backend_window_id_registered", "label": label, "window_id": "w"})
    snapshot = host.snapshot()
    keys = {
        "windows": [row["label"] for row in snapshot["windows"]],
        "pool": snapshot["pool"],
        "instance_registry": [pair[0] for pair in snapshot["instance_registry"]],
        "backend_window_ids": [pair[0] for pair in snapshot["backend_window_ids"]],
        "processes": [row["pid"] for row in snapshot["processes"]],
        "children": [row["name"] for row in snapshot["children"]],
        "sagas": [row["saga_id"] for row in snapshot["sagas"]],
    }
    for name, found in keys.items():
        if found != sorted(found):  # Python compares texts by code point
            raise Breach(f"`{name}` sorted by its key, texts by code point", str(found))


@RULES.check("6", CONSENT)
def monitors_in_order(stage: Stage) -> None:
    """`monitors` are as they were reported, the primary one first."""
    host = stage.host()
    rects = [{"left": left, "top": 0, "right": left + 100, "bottom": 100} for left in (200, 0, 100)]
    host.done({"cmd": "report_monitor_topology_changed", "rects": rects})
    if host.snapshot()["monitors"] != rects:
        raise Breach(str(rects), str(host.snapshot()["monitors"]))


@RULES.check("6", CONSENT)
def just_opened(stage: Stage) -> None:
    """A window that is just opened: null, false, false, null, false, false."""
    host = stage.host()
    host.done({"cmd": "report_window_opened", "label": "w", "kind": "full_instance", "parent_label": None})
    rows = [row for row in host.snapshot()["windows"] if row["label"] == "w"]
    wanted = {
        "label": "w",
        "kind": "full_instance",
        "parent_label": None,
        "hwnd": None,
        "visible": False,
        "iconic": False,
        "last_rect": None,
        "foregrounded_since_open": False,
        "orphaned": False,
    }
    if rows != [wanted]:
        raise Breach(str(wanted), str(rows))


# --- `metrics`


@RULES.check("6")
def metrics_connections(stage: Stage) -> None:
    """`metrics` has a row for each registered connection, by `client_id`; its counts go up by what is sent and told."""
    reader, quiet = stage.join(), stage.quiet()
    before = _rows(quiet.ask({"cmd": "get_metrics"}))
    reader.send(*({"cmd": "ping", "nonce": number} for number in range(3)), published("counted"))
    reader.ping()
    after = _rows(quiet.ask({"cmd": "get_metrics"}))
    if list(after) != sorted(after):
        raise Breach("`connections` by `client_id`", str(list(after)))
    for talker in (reader, quiet):
        row = after.get(talker.registered["client_id"])
        if row is None or row["pid"] != talker.pid:
            raise Breach(f"a row for client {talker.registered['client_id']}, pid {talker.pid}", str(row))
    first, last = (rows[reader.registered["client_id"]] for rows in (before, after))
    if last["commands"] - first["commands"] != 5:  # four pings, the last of them to wait for it, and a `publish`
        raise Breach(f"commands {first['commands'] + 5}", str(last["commands"]))
    for name in ("received_bytes", "sent_bytes"):
        if last[name] <= first[name]:
            raise Breach(f"more than {first[name]} {name}", str(last[name]))


@RULES.check("6")
def metrics_samples(stage: Stage) -> None:
    """Of each name and labels `metrics` has one sample, and what counts never goes down."""
    talker = stage.join()
    before = _samples(talker.ask({"cmd": "get_metrics"}))
    talker.send(published("counted"), {"cmd": "fly"})
    talker.ping()
    after = _samples(talker.ask({"cmd": "get_metrics"}))
    for (name, labels), value in before.items():
        if name.endswith(("_total", "_bucket", "_sum", "_count")) and after.get((name, labels), -1) < value:
            raise Breach(f"{name} {dict(labels)} at least {value}", str(after.get((name, labels))))


def _rows(metrics: Line) -> dict[int, Line]:
    return {row["client_id"]: row for row in metrics["connections"]}


def _samples(metrics: Line) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for sample in metrics["samples"]:
        key = sample["name"], frozenset(sample["labels"].items())
        if key in found:
            raise Breach("one sample of each name and labels", f"{sample['name']} {sample['labels']} twice")
        found[key] = sample["value"]
    return found


# --- `event_list`


@RULES.check("6")
def event_list_pages(stage: Stage) -> None:
    """`event_list` holds the events after `since` as they were told, up to `limit` (default 1000), and says how far the
    stream has come.
    """
    talker = stage.join()
    since, run = talker.head(), talker.registered["run_id"]
    talker.send(*(published(number) for number in range(30)))
    told = [line for line in talker.ping() if is_stream(line)]
    fetched: list[Line] = []
    while True:
        after = fetched[-1]["version"] if fetched else since
        page = talker.ask({"cmd": "get_events", "since": after, "run_id": run, "limit": 7})
        _is_page(page, after, 7)
        fetched += page["events"]
        if not page["events"] or page["events"][-1]["version"] == page["version"]:
            break
    if fetched[: len(told)] != told:
        raise Breach("the events as they were told", str(fetched)[:300])
    at_head = talker.ask({"cmd": "get_events", "since": talker.head(), "run_id": run})
    if stage.is_alone and at_head["events"]:
        raise Breach("no events after the newest version", str(at_head["events"])[:300])


@RULES.check("6")
def event_list_default(stage: Stage) -> None:
    """Without `limit` an `event_list` holds at most 1000."""
    talker = stage.quiet()
    since, run = talker.head(), talker.registered["run_id"]
    talker.send(*(published(0) for _ in range(DEFAULT_LIMIT + 1)))
    talker.ping()
    page = talker.ask({"cmd": "get_events", "since": since, "run_id": run})
    if len(page["events"]) != DEFAULT_LIMIT or page["events"][-1]["version"] >= page["version"]:
        raise Breach(f"{DEFAULT_LIMIT} events, the last one older than `version`", f"{len(page['events'])} events")


@RULES.check("6")
def event_list_bytes(stage: Stage) -> None:
    """An `event_list` stops at 1 MiB; then its last event is older than `version`."""
    talker = stage.quiet()
    since, run = talker.head(), talker.registered["run_id"]
    for _ in range(30):
        talker.send(published("x" * 60_000))
    talker.ping()
    page = talker.ask({"cmd": "get_events", "since": since, "run_id": run, "limit": 10_000})
    size = sum(len(encoded(event)) for event in page["events"])
    if not page["events"] or size > LIST_BYTES_MAX or page["events"][-1]["version"] >= page["version"]:
        raise Breach(f"at least one event and at most {LIST_BYTES_MAX} bytes of them", f"{size} bytes")


# --- `bookmark`


@RULES.check("6", OWN)
def bookmark_after(stage: Stage) -> None:
    """A filtered subscriber is sent `bookmark` once 1024 events were filtered out since its last event, and so on."""
    busy, talker = stage.quiet(), stage.quiet()
    start = _subscribe_now(talker)
    for _ in range(3):
        busy.send(*(published(0) for _ in range(BOOKMARK_AFTER)))
        start += BOOKMARK_AFTER
        bookmark = talker.expect(event="bookmark")
        if bookmark["version"] != start:
            raise Breach(f"a bookmark at version {start}", str(bookmark))
    busy.send(*(published(0) for _ in range(BOOKMARK_AFTER - 1)))
    busy.ping()
    if "bookmark" in names(talker.ping()):
        raise Breach("no bookmark after 1023 events", "one")


def _subscribe_now(talker: Talker) -> int:
    talker.send({"cmd": "subscribe", "events": ["host_should_quit"], "id": "b"})
    return int(talker.until(event="subscribed", id="b")[-1]["version"])


def _is_page(page: Line, after: int, limit: int) -> None:
    versions = [event["version"] for event in page["events"]]
    if versions != list(range(after + 1, after + 1 + len(versions))) or len(versions) > limit:
        raise Breach(f"at most {limit} versions from {after + 1} on", str(versions))
    if page["truncated"] or page["oldest"] > after + 1:
        raise Breach("nothing truncated, and `oldest` held", f"truncated {page['truncated']}, oldest {page['oldest']}")
    if not versions and page["version"] > after:
        raise Breach("at least one event, for there is one", "none")
