"""Section 3: registering, leaving, and being thrown out."""

from __future__ import annotations

import sys
from typing import Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import CONSENT, Book, Needs
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.rules.asked import ASKED, QUERIES
from quarterdeck.conformance.server.stage import Stage, published, unix_only
from quarterdeck.conformance.server.talker import Talker, encoded, holds, registering

RULES: Final = Book()

BAD_LINES_MAX: Final = 100
REGISTER_TIMEOUT_S: Final = 10.0
DIRECTIVES: Final = ("spawn_pool_window", "reap_panes", "drain_pool_if_last", "probe_ui_thread", "shutdown")


# --- 3.1, 3.3


@RULES.check("3.1")
def queries_before_register(stage: Stage) -> None:
    """A query before `register` is `not_registered`, not fatal; the client may register next."""
    talker = stage.connect()
    for name in QUERIES:
        talker.refused({"cmd": name, **ASKED[name].example()}, "not_registered")
    talker.register(stage.pid())


@RULES.check("3.1")
def directives_before_register(stage: Stage) -> None:
    """A misrouted directive before `register` is `not_registered`, not fatal; the client may register next."""
    talker = stage.connect()
    for name in DIRECTIVES:
        talker.refused({"cmd": name}, "not_registered")
    talker.register(stage.pid())


@RULES.check("3.1")
def others_before_register(stage: Stage) -> None:
    """Any other known command before `register` is `not_registered`, and fatal."""
    for name, asked in ASKED.items():
        if name not in {"register", *QUERIES}:
            talker = stage.connect()
            talker.refused({"cmd": name, **asked.example()}, "not_registered", fatal=True)
            talker.expect_end()


@RULES.check("3.1")
def bad_lines_before_register(stage: Stage) -> None:
    """A bad line before `register` is `invalid_command`, not fatal; the client may register next."""
    talker = stage.connect()
    talker.send_bytes(b"nonsense\n\n" + encoded({"cmd": "fly"}, {"cmd": "register", "kind": "tool"}))
    for _ in range(3):
        talker.expect(event="error", code="invalid_command", fatal=False)
    talker.register(stage.pid())


@RULES.check("3.1", Needs(settings=("limits.register_timeout=1",), consent=True))
def register_timeout(stage: Stage) -> None:
    """No `register` within `register_timeout`: error `register_timeout`, fatal, however much else was sent."""
    silent, talking, inside = stage.connect(), stage.connect(), stage.quiet()
    talking.send({"cmd": "ping", "nonce": 1})
    talking.expect(event="error", code="not_registered")
    for talker in (silent, talking):
        talker.be_patient(REGISTER_TIMEOUT_S)
        talker.expect(event="error", code="register_timeout", fatal=True)
        talker.expect_end()
    inside.ping()


@RULES.check("3.3")
def fatal(stage: Stage) -> None:
    """After a fatal error nothing more is sent, and the connection is closed."""
    talker = stage.connect()
    talker.send({**published(1), "id": 1}, registering(stage.pid()), {"cmd": "ping", "nonce": 1})
    talker.expect(event="error", code="not_registered", fatal=True, id=1)
    talker.expect_end()


# --- 3.2


@RULES.check("3.2")
def register(stage: Stage) -> None:
    """`register` makes a process known: everybody is told `process_spawned`, and it is in the next snapshot."""
    watcher = stage.join()
    pid = stage.pid()
    talker = stage.connect()
    talker.send({**registering(pid, "srv"), "version": "2.1", "name": "é"})
    talker.until(event="registered")
    told = watcher.until(event="process_spawned", pid=pid)[-1]
    holds(told, {"kind": "srv", "client_version": "2.1", "name": "é"})
    row = _row(watcher, pid)
    holds(row, {"kind": "srv", "client_version": "2.1", "name": "é", "state": "running", "code": None})


@RULES.check("3.2")
def register_twice(stage: Stage) -> None:
    """`register` twice on one connection is `already_registered`, not fatal; the registration stands."""
    talker = stage.join()
    talker.refused(registering(talker.pid), "already_registered")
    talker.refused(registering(stage.pid(), "srv"), "already_registered")
    if _row(talker, talker.pid)["kind"] != "tool":
        raise Breach("the first registration as it was", str(_row(talker, talker.pid)))


@RULES.check("3.2")
def pid_registered_elsewhere(stage: Stage) -> None:
    """A pid with a live record from another connection is `already_registered`, fatal; the other one stays."""
    first, second = stage.quiet(), stage.connect()
    second.refused(registering(first.pid), "already_registered", fatal=True)
    second.expect_end()
    first.ping()


@RULES.check("3.2")
def close_and_return(stage: Stage) -> None:
    """A client may close and come back at once: its old record exits first, then it is spawned again."""
    watcher = stage.join()
    pid = stage.pid()
    for _ in range(10):
        talker = stage.join(pid=pid)
        talker.close()
    stage.join(pid=pid)
    seen = [line for line in watcher.ping() if line.get("pid") == pid]
    wanted = ["process_spawned", *["process_exited", "process_spawned"] * 10]
    if [line["event"] for line in seen] != wanted:
        raise Breach("spawned, then exited and spawned ten times", " ".join(line["event"] for line in seen))
    for line in seen:
        if line["event"] == "process_exited":
            holds(line, {"reason": "disconnected", "code": -1, "synthetic": True})


@RULES.check("3.2")
def half_closed_is_gone(stage: Stage) -> None:
    """Before it refuses a pid as registered, the launcher reads that connection to see whether it has ended."""
    pid = stage.pid()
    talker = stage.join(pid=pid)
    talker.send({"cmd": "report_status", "status": {"last": "word"}})
    talker.half_close()
    stage.join(pid=pid)


# --- 3.4, 3.5


@RULES.check("3.4")
def goodbye(stage: Stage) -> None:
    """`goodbye` is told as `process_exited` with code 0 and reason `goodbye`, not synthetic."""
    watcher = stage.join()
    talker = stage.quiet()
    talker.goodbye()
    told = watcher.until(event="process_exited", pid=talker.pid)[-1]
    holds(told, {"code": 0, "reason": "goodbye", "synthetic": False})
    holds(_row(watcher, talker.pid), {"state": "exited", "code": 0, "exited_version": told["version"]})


@RULES.check("3.4")
def goodbye_answered(stage: Stage) -> None:
    """The leaver receives every event of its goodbye, whatever its subscription, then the `ack`, then end of file."""
    talker = stage.quiet()
    talker.send({"cmd": "goodbye", "id": "bye"})
    talker.expect(event="process_exited", pid=talker.pid, reason="goodbye")
    talker.until(event="ack", id="bye")
    talker.expect_end()


@RULES.check("3.4")
def nothing_after_goodbye(stage: Stage) -> None:
    """What is sent after `goodbye` is not carried out."""
    watcher = stage.listener("published", "process_exited")
    talker = stage.quiet()
    talker.send({"cmd": "goodbye"}, published("too late"))
    talker.rest()
    _no_payload(watcher.until(event="process_exited", pid=talker.pid), "too late")
    _no_payload(watcher.ping(), "too late")


@RULES.check("3.5")
def disconnected(stage: Stage) -> None:
    """End of file without `goodbye` is told as `process_exited` with code -1 and reason `disconnected`, synthetic."""
    watcher = stage.join()
    talker = stage.quiet()
    talker.close()
    _exits(watcher, talker.pid, "disconnected")
    holds(_row(watcher, talker.pid), {"state": "exited", "code": -1})


@RULES.check("3.5")
def killed(stage: Stage) -> None:
    """A process that is killed is told like one that disconnected."""
    if sys.platform == "win32":
        raise unix_only()
    watcher = stage.join()
    talker = stage.quiet()
    holder = stage.stand_ins.new(holding=talker.fileno())
    talker.close()
    if "process_exited" in [line["event"] for line in watcher.ping() if line.get("pid") == talker.pid]:
        raise Breach("no exit while a process holds the connection", "an exit")
    holder.kill()
    _exits(watcher, talker.pid, "disconnected")


@RULES.check("3.5")
def goodbye_is_never_lost(stage: Stage) -> None:
    """A goodbye that was sent is never taken for a crash, though its sender closed without reading."""
    watcher = stage.join()
    for _ in range(10):
        talker = stage.join()
        talker.send(*(published(["x" * 1000, number]) for number in range(20)), {"cmd": "goodbye"})
        talker.close()
        told = watcher.until(event="process_exited", pid=talker.pid)[-1]
        holds(told, {"code": 0, "reason": "goodbye", "synthetic": False})


@RULES.check("3.5")
def last_words(stage: Stage) -> None:
    """What a client sent before it closed is carried out before its synthetic goodbye."""
    watcher = stage.join()
    talker = stage.quiet()
    talker.send(*(published(["last", talker.pid, number]) for number in range(50)))
    talker.close()
    seen = watcher.until(event="process_exited", pid=talker.pid)
    said = [
        line["payload"][2] for line in seen if line.get("event") == "published" and line["payload"][1:2] == [talker.pid]
    ]
    if said != list(range(50)):
        raise Breach("50 events, then the exit", f"{len(said)} of them")


@RULES.check("3.5")
def half_close(stage: Stage) -> None:
    """A client that half-closes gets the replies and events it is due, not its own exit, then end of file."""
    watcher = stage.join()
    talker = stage.join()
    talker.send({**published("due"), "id": "a"}, {"cmd": "get_snapshot", "id": "b"}, {"cmd": "ping", "nonce": 5})
    talker.half_close()
    lines = talker.rest()
    for wanted in ({"event": "ack", "id": "a"}, {"event": "snapshot", "id": "b"}, {"event": "pong", "nonce": 5}):
        if not any(all(line.get(key) == value for key, value in wanted.items()) for line in lines):
            raise Breach(f"{wanted} before the end", f"{len(lines)} lines without it")
    if any(line.get("event") == "process_exited" and line.get("pid") == talker.pid for line in lines):
        raise Breach("no exit of its own", "its own `process_exited`")
    _exits(watcher, talker.pid, "disconnected")


@RULES.check("3.5")
def evicted(stage: Stage) -> None:
    """Who is closed after a fatal error is told as `process_exited` with code -1 and reason `evicted`, synthetic."""
    watcher = stage.join()
    talker = stage.quiet()
    talker.send_bytes(b"bad\n" * BAD_LINES_MAX)
    talker.rest()
    _exits(watcher, talker.pid, "evicted")


@RULES.check("3.5")
def silent_leave(stage: Stage) -> None:
    """A connection that never registered leaves silently."""
    watcher = stage.join()
    version = watcher.head()
    for number in range(10):
        talker = stage.connect()
        if number % 2:
            talker.send_bytes(b'{"cmd":"register"')
        talker.close()
    stage.quiet().ping()
    told = [line for line in watcher.ping() if line.get("version", 0) > version]
    if stage.is_alone and [line["event"] for line in told] != ["process_spawned"]:
        raise Breach("nothing of those who never registered", str(told)[:300])


# --- 3.6, 3.7


@RULES.check("3.6")
def hundred_bad_lines(stage: Stage) -> None:
    """The 100th error `invalid_command` or `line_too_long` in a row is fatal; blank lines do not count."""
    talker = stage.quiet()
    talker.send_bytes(b"bad\n\n \t\r\n" * (BAD_LINES_MAX - 1))
    for _ in range(BAD_LINES_MAX - 1):
        talker.expect(event="error", code="invalid_command", fatal=False)
    talker.send_bytes(b"bad\n" + encoded({"cmd": "ping", "nonce": 1}))
    talker.expect(event="error", code="invalid_command", fatal=True)
    talker.expect_end()


@RULES.check("3.6")
def counted_anew(stage: Stage) -> None:
    """Bad lines are counted in a row: a good one, or one that is refused for another reason, begins a new count."""
    talker = stage.quiet()
    for between in ({"cmd": "ping", "nonce": 1}, {"cmd": "report_window_closed", "label": "w"}, {"cmd": "shutdown"}):
        talker.send_bytes(b"bad\n" * (BAD_LINES_MAX - 1) + encoded({**between, "id": between["cmd"]}))
        for _ in range(BAD_LINES_MAX - 1):
            talker.expect(event="error", code="invalid_command", fatal=False)
        talker.until(id=between["cmd"])


@RULES.check("3.6")
def bad_lines_before_anybody(stage: Stage) -> None:
    """The count is there on any connection, registered or not."""
    talker = stage.connect()
    talker.send_bytes(b"bad\n" * BAD_LINES_MAX)
    fatal = [line.get("fatal") for line in talker.rest()]
    if fatal != [False] * (BAD_LINES_MAX - 1) + [True]:
        raise Breach("99 errors, then a fatal one", f"{fatal.count(False)} and {fatal.count(True)} fatal ones")


@RULES.check("3.7")
def known_before_registered(stage: Stage) -> None:
    """JSON and a known `cmd` are checked before register-first: an unknown command too early is `invalid_command`."""
    talker = stage.connect()
    talker.refused({"cmd": "fly"}, "invalid_command")


@RULES.check("3.7")
def registered_before_members(stage: Stage) -> None:
    """Register-first is checked before members: a query too early is `not_registered` however wrong it is."""
    talker = stage.connect()
    talker.refused({"cmd": "ping"}, "not_registered")
    talker.refused({"cmd": "publish"}, "not_registered", fatal=True)


@RULES.check("3.7")
def misrouted_before_members(stage: Stage) -> None:
    """The members of a misrouted directive are not looked at."""
    talker = stage.quiet()
    for name in DIRECTIVES:
        talker.refused({"cmd": name, "saga_id": "x", "label": 1, "reason": None}, "misrouted")


@RULES.check("3.7")
def members_before_role(stage: Stage) -> None:
    """Members are checked before the role: a tool's report with a wrong member is `invalid_command`."""
    talker = stage.quiet()
    talker.refused({"cmd": "report_window_closed"}, "invalid_command")
    talker.refused({"cmd": "report_window_closed", "label": "w"}, "forbidden")


@RULES.check("3.7", CONSENT)
def role_before_state(stage: Stage) -> None:
    """The role is checked before the state: a command about something unknown is `forbidden` for the wrong kind."""
    talker = stage.quiet("srv")
    talker.refused({"cmd": "stop_process", "name": "nobody"}, "forbidden")
    stage.quiet().refused({"cmd": "stop_process", "name": "nobody"}, "unknown_process")


def _exits(watcher: Talker, pid: int, reason: str) -> None:
    told = watcher.until(event="process_exited", pid=pid)[-1]
    holds(told, {"code": -1, "reason": reason, "synthetic": True})


def _row(talker: Talker, pid: int) -> Line:
    """The process in the snapshot now."""
    for row in talker.snapshot()["processes"]:
        if row["pid"] == pid:
            return dict(row)
    raise Breach(f"a process with pid {pid} in the snapshot", "none")


def _no_payload(lines: list[Line], payload: str) -> None:
    if any(line.get("payload") == payload for line in lines):
        raise Breach(f"nothing published as {payload!r}", f"`published` with {payload!r}")
