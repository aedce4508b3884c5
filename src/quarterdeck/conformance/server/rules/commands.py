"""Section 4: every command's members and who may send it, from the table `asked`; then what single commands promise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from quarterdeck.conformance.rules import Breach, Rule
from quarterdeck.conformance.server.book import ANY_LAUNCHER, CONSENT, OWN, Book, with_settings
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.rules.asked import ANY, ASKED, HOST, Asked
from quarterdeck.conformance.server.stage import NO_EVENTS, TOPIC, Stage, published
from quarterdeck.conformance.server.talker import Talker, is_stream, names, registering

RULES: Final = Book()

ENDING: Final = frozenset({"goodbye", "quit"})
"""Commands that cannot be sent again and again to see which values they take."""
STEPS: Final = 10
"""Events of a backlog."""


def _members_of(name: str, asked: Asked, stage: Stage) -> None:
    """Wrong members are refused by name and change nothing; right ones, the extremes among them, are taken."""
    watcher = stage.quiet()
    talker = stage.connect() if name == "register" else _sender(stage, asked)
    version = watcher.head()
    for member, command in _wrong(name, asked):
        error = talker.refused(command, "invalid_command")
        if member not in str(error["message"]):
            raise Breach(f"a message that names the member `{member}`", str(error["message"]))
    if stage.is_alone and watcher.head() != version:
        raise Breach(f"version {version}, for what is refused changes nothing", f"version {watcher.head()}")
    if name in ENDING or name == "register":
        return
    for command in _right(name, asked):
        answer = talker.ask(command)
        if answer.get("code") in {"invalid_command", "line_too_long"}:
            raise Breach(f"{str(command)[:300]} taken", str(answer))


def _sender(stage: Stage, asked: Asked) -> Talker:
    """Who may send it: a host only where nobody else will do."""
    if asked.kinds == HOST:
        talker = stage.host()
        talker.done({"cmd": "subscribe", **NO_EVENTS})
        return talker
    return stage.quiet(asked.kinds[-1])


def _wrong(name: str, asked: Asked) -> Iterator[tuple[str, Line]]:
    example = {"cmd": name, **asked.example()}
    if name == "register":
        example["pid"] = 1
    for member, values in asked.members.items():
        if values.is_required:
            yield member, {key: value for key, value in example.items() if key != member}
        for bad in values.bad:
            yield member, {**example, member: bad}


def _right(name: str, asked: Asked) -> Iterator[Line]:
    example = {"cmd": name, **asked.example()}
    yield example
    for member, values in asked.members.items():
        for good in values.good:
            yield {**example, member: good}


def _roles_of(name: str, asked: Asked, stage: Stage) -> None:
    """Who may not send it is told `forbidden`, not fatal."""
    for kind in ANY:
        if kind not in asked.kinds:
            talker = stage.host() if kind == "host" else stage.quiet(kind)
            talker.refused({"cmd": name, **asked.example()}, "forbidden")
            talker.goodbye()


for _name, _asked in ASKED.items():
    _needs = CONSENT if _asked.kinds == HOST or _name in {"quit", "activate"} else ANY_LAUNCHER
    if _asked.members:
        _what = (
            f"`{_name}` takes {', '.join(f'`{member}`' for member in _asked.members)} as the table says; what is out "
        )
        _what += "of range, of the wrong type or missing is `invalid_command`, naming the member, and changes nothing."
        RULES.add(Rule("4", f"{_name}-members", _what), partial(_members_of, _name, _asked), _needs)
    if _asked.kinds != ANY:
        _what = f"`{_name}` is for {' and '.join(_asked.kinds)}: for others `forbidden`, not fatal."
        RULES.add(Rule("4", f"{_name}-who", _what), partial(_roles_of, _name, _asked), CONSENT)


@RULES.check("4")
def misrouted(stage: Stage) -> None:
    """`spawn_pool_window`, `reap_panes`, `drain_pool_if_last`, `probe_ui_thread` and `shutdown` are `misrouted`."""
    talker = stage.quiet()
    for name in ("spawn_pool_window", "reap_panes", "drain_pool_if_last", "probe_ui_thread", "shutdown"):
        talker.refused({"cmd": name}, "misrouted")


@RULES.check("4")
def observations(stage: Stage) -> None:
    """Ticks and a witness's observations are no commands: `invalid_command`."""
    talker = stage.quiet()
    for name in ("tick", "Tick", "synthetic_goodbye", "SyntheticGoodbye", "QuitSignalled", "hwnd_destroyed"):
        talker.refused({"cmd": name, "type": name, "reason": "disconnected"}, "invalid_command")


@RULES.check("4")
def publish(stage: Stage) -> None:
    """`publish` tells everybody `published`, with the sender's `client_id`."""
    watcher, talker = stage.join(), stage.quiet()
    talker.done(published({"a": None}))
    told = watcher.until(event="published", topic=TOPIC)[-1]
    if (told["payload"], told["client_id"]) != ({"a": None}, talker.registered["client_id"]):
        raise Breach(f"the payload and client {talker.registered['client_id']}", str(told))


@RULES.check("4")
def report_status(stage: Stage) -> None:
    """`report_status` replaces the sender's status, and tells it, also if it is the same."""
    watcher, talker = stage.join(), stage.quiet()
    for status in ({"a": 1, "b": [1]}, {"c": None}, {"c": None}):
        talker.done({"cmd": "report_status", "status": status})
        told = watcher.until(event="process_status_changed", pid=talker.pid)[-1]
        if told["status"] != status:
            raise Breach(f"status {status}", str(told))
        rows = [row["status"] for row in watcher.snapshot()["processes"] if row["pid"] == talker.pid]
        if rows != [status]:
            raise Breach(f"status {status} in the snapshot", str(rows))


@RULES.check("4")
def no_subscription(stage: Stage) -> None:
    """Without any subscription a registered client gets every stream event."""
    talker = stage.connect()
    talker.send(registering(stage.pid()), published(1))
    talker.until(event="registered")
    talker.until(event="published", payload=1)


@RULES.check("4")
def patterns(stage: Stage) -> None:
    """In `events`, `*` is the only wildcard, and stands for any text, even none."""
    talker = stage.quiet()
    for pattern, is_matched in (
        ("published", True),
        ("publ*", True),
        ("*", True),
        ("pub*shed", True),
        ("published*", True),
        ("**", True),
        ("*x", False),
        ("PUBL*", False),
        ("pub*shed*x", False),
        ("publis?ed*", False),
        ("[p]*", False),
    ):
        talker.done({"cmd": "subscribe", "events": [pattern]})
        talker.send(published(pattern))
        told = [line for line in talker.ping() if line.get("payload") == pattern]
        if bool(told) is not is_matched:
            raise Breach(f"{pattern} to match {'' if is_matched else 'nothing of '}`published`", f"{len(told)} events")


@RULES.check("4")
def names_of_events(stage: Stage) -> None:
    """A name without `*` that is no event is `invalid_command`; a pattern that matches nothing is none the worse."""
    talker = stage.quiet()
    for name in ("no_such_event", "publis?ed", "pong", "PUBLISHED", "published "):
        talker.refused({"cmd": "subscribe", "events": ["published", name]}, "invalid_command")
    talker.done({"cmd": "subscribe", "events": ["no_such_*"]})


@RULES.check("4")
def refused_subscribe(stage: Stage) -> None:
    """A refused `subscribe` leaves the old subscription as it was."""
    talker = stage.listener("published")
    talker.refused({"cmd": "subscribe", "events": ["no_such_event"]}, "invalid_command")
    talker.refused({"cmd": "subscribe", "snapshot": True, "since": 0}, "invalid_command")
    talker.send(published("still"))
    talker.until(event="published", payload="still")


@RULES.check("4")
def backlog(stage: Stage) -> None:
    """With `since`: `subscribed`, then the backlog after the cursor, then the live stream, with no gap and no
    duplicate.
    """
    busy, talker = stage.quiet(), stage.quiet()
    since = talker.head()
    busy.send(*(published(["backlog", number]) for number in range(STEPS)))
    busy.ping()
    busy.send(*(published(["backlog", number]) for number in range(STEPS, 2 * STEPS)))
    talker.send({"cmd": "subscribe", "since": since, "run_id": talker.registered["run_id"], "id": "s"})
    talker.until(event="subscribed", id="s", version=since, truncated=False)
    versions = []
    while True:
        line = talker.line("the backlog and the live stream")
        versions.append(line["version"])
        if line.get("payload") == ["backlog", 2 * STEPS - 1]:
            break
    if versions != list(range(since + 1, since + 1 + len(versions))):
        raise Breach(f"versions from {since + 1} on, each once", str(versions))


@RULES.check("4")
def backwards(stage: Stage) -> None:
    """With `since` a subscription may also go back, and tells again what was told before."""
    talker = stage.join()
    before = talker.head()
    talker.done(published("again"))
    for _ in range(3):
        talker.send({"cmd": "subscribe", "since": before, "run_id": talker.registered["run_id"]})
        talker.until(event="subscribed", version=before)
        talker.until(event="published", payload="again")


@RULES.check("4")
def replaced_subscription(stage: Stage) -> None:
    """`subscribe` replaces the earlier subscription; what was due before the new cursor under it precedes
    `subscribed`.
    """
    talker = stage.listener("published")
    talker.send(
        published("old"),
        {"cmd": "subscribe", "events": ["process_status_changed"], "id": "s"},
        published("new"),
        {"cmd": "report_status", "status": {"new": True}},
        {"cmd": "ping", "nonce": 1},
    )
    before, after = talker.until(event="subscribed", id="s"), talker.until(event="pong")
    if "old" not in [line.get("payload") for line in before]:
        raise Breach("`published` of before, then `subscribed`", "no such event before `subscribed`")
    if set(names(filter(is_stream, after))) != {"process_status_changed"}:
        raise Breach("only `process_status_changed` after it", str(names(after)))


@RULES.check("4")
def snapshot_and_since(stage: Stage) -> None:
    """With `snapshot` the whole state comes first, and the stream begins after it; it is refused together with
    `since`.
    """
    talker = stage.quiet()
    talker.refused({"cmd": "subscribe", "snapshot": True, "since": 0}, "invalid_command")
    talker.send({"cmd": "subscribe", "snapshot": True, "id": "s"}, published("after"))
    version = talker.until(event="snapshot")[-1]["version"]
    talker.expect(event="subscribed", id="s", version=version, truncated=False)
    talker.until(event="published", payload="after")


@RULES.check("4", with_settings("limits.ring_events=8", "journal=off"))
def truncated(stage: Stage) -> None:
    """`since` + 1 below the oldest version held: `subscribed` with `truncated`, then `lagged` with the exact range."""
    talker = stage.quiet()
    talker.send(*(published(number) for number in range(20)))
    head = talker.head()
    run = talker.registered["run_id"]
    talker.send({"cmd": "subscribe", "since": 1, "run_id": run, "id": "s"})
    talker.until(event="subscribed", id="s", version=1, truncated=True)
    lagged = talker.expect(**{"event": "lagged", "from": 2})
    if not lagged["to"] == lagged["version"] < head:
        raise Breach("`to` and `version`: the version before the oldest held", str(lagged))
    talker.expect(event="published", version=lagged["to"] + 1)
    talker.send({"cmd": "subscribe", "since": lagged["to"], "run_id": run, "id": "t"})
    talker.until(event="subscribed", id="t", truncated=False)


@RULES.check("4", CONSENT)
def activate(stage: Stage) -> None:
    """`activate` tells `activated` with the arguments, the folder and the sender's pid."""
    watcher, talker = stage.join(), stage.quiet()
    asked: dict[str, Any] = {"argv": ["", "--open", "a b", "é\n"], "cwd": "/tmp/é"}
    talker.done({"cmd": "activate", **asked})
    told = watcher.until(event="activated")[-1]
    if {key: told[key] for key in ("argv", "cwd", "pid")} != {**asked, "pid": talker.pid}:
        raise Breach(str(asked), str(told))


@RULES.check("4", OWN)
def unknown_process(stage: Stage) -> None:
    """`start_process`, `stop_process` and `restart_process` of a name that is not configured: `unknown_process`."""
    talker = stage.quiet()
    for name in ("start_process", "stop_process", "restart_process"):
        talker.refused({"cmd": name, "name": "nobody"}, "unknown_process")
