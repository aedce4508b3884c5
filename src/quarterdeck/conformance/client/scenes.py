"""Scenes: what a client may meet in a launcher's life, each with the rules that it decides."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from quarterdeck.conformance.client import judge
from quarterdeck.conformance.client.caller import Caller
from quarterdeck.conformance.client.play import Play
from quarterdeck.conformance.rules import NotApplicable, Rule

LONG_BYTES: Final = 3 * judge.LINE_BYTES_MAX
SKIPPED: Final = 10
BURST: Final = 500


class Scene(Struct, frozen=True):
    """A scene and the rules that nothing but it can decide."""

    play: Callable[[Play], Awaitable[None]]
    rules: tuple[Rule, ...]


async def asked_to_end(play: Play) -> None:
    """Nothing odd happens, until the client is asked to end."""
    caller = await play.registered()
    await play.settle()
    await play.ask_to_end()
    await play.happens(lambda: not caller.is_open, play.terms.settle_s)
    play.hold(judge.GOODBYE, caller.said_goodbye, "`goodbye` before the end", "the end without it")


async def more_members(play: Play) -> None:
    """Every line has members that nobody knows."""
    play.writes = _with_more
    await _copes(play, judge.UNKNOWN_MEMBERS, "a client that goes on")


async def in_crumbs(play: Play) -> None:
    """Every byte comes alone, those of one character too."""
    play.in_crumbs = True
    await _copes(play, judge.SPLIT_LINES, "a client that goes on", _tell_text)


async def at_once(play: Play) -> None:
    """Many lines come in one read."""
    await _copes(play, judge.JOINED_LINES, "a client that goes on", _burst)


async def long_line(play: Play) -> None:
    """A line comes that is longer than any that a launcher takes."""
    await _copes(play, judge.LONG_LINES, f"a client that takes a line of {LONG_BYTES} bytes", _long)


async def unknown_event(play: Play) -> None:
    """An event comes that nobody knows."""
    await _copes(play, judge.UNKNOWN_EVENTS, "a client that passes it over", _strange_event)


async def unknown_directive(play: Play) -> None:
    """A directive comes that nobody knows."""
    await _copes(play, judge.UNKNOWN_DIRECTIVES, "a client that passes it over", _strange_directive)


async def comes_back(play: Play) -> None:
    """The connection is cut; what happened meanwhile is not lost."""
    caller = await play.registered()
    await play.settle()
    play.need_staying(caller)
    run, since = play.understudy.run_id, await _cut(play, caller)
    again = await play.asks_again()
    asked = again.subscription or {}
    got = f"since {asked.get('since')!r}, run_id {asked.get('run_id')!r}"
    does_resume = isinstance(asked.get("since"), int) and asked.get("run_id") == run
    play.hold(judge.RESUMES, does_resume, f"`since` of at most {since}, and run_id {run}", got)


async def another_run(play: Play) -> None:
    """The connection is cut, and the launcher behind it is another one when the client comes back."""
    caller = await play.registered()
    await play.settle()
    play.need_staying(caller)
    stale = play.understudy.run_id
    play.understudy.restart()
    await _cut(play, caller)

    def stale_ones() -> int:
        asked = [command for c in play.callers[1:] for command in c.registers]
        return sum((command.get("subscribe") or {}).get("run_id") == stale for command in asked)

    await play.happens(
        lambda: stale_ones() > 1 or any(c.is_registered for c in play.callers[1:]), play.terms.patience_s / 2
    )
    await play.settle()
    came = stale_ones()
    if not came:
        raise NotApplicable("the client does not resume, so no run is unknown")
    play.hold(judge.UNKNOWN_RUN, came == 1, "that run's cursor once", f"{came} times")


async def falls_behind(play: Play) -> None:
    """The client is told that it missed events, then cut."""
    caller = await play.registered()
    await play.settle()
    play.need_staying(caller)
    first = play.understudy.state.version + 1
    to = play.understudy.skip(SKIPPED)
    caller.say({"event": "lagged", "from": first, "to": to, "version": to})
    await play.settle()
    if not play.hold(judge.LAGGED, play.copes(caller), "a client that goes on", "it left"):
        return
    await _cut(play, caller)
    again = await play.asks_again()
    since = (again.subscription or {}).get("since")
    if since is not None:
        play.hold(judge.LAGGED, since >= to, f"`since` of {to}, the version of `lagged`", str(since))


async def shutdown(play: Play) -> None:
    """The launcher shuts down."""
    caller = await play.registered()
    await play.settle()
    play.need_staying(caller)
    play.understudy.tell({"event": "lifecycle_phase_changed", "from": "running", "to": "quitting"})
    caller.say({"kind": "command", "cmd": "shutdown", "reason": "user_exit", "grace_ms": 0})
    play.understudy.tell({"event": "lifecycle_phase_changed", "from": "quitting", "to": "dead"})
    await play.happens(lambda: not caller.is_open, play.terms.settle_s)
    play.stop_listening()
    caller.close()
    await play.settle()
    is_crash = play.has_ended and play.exit_code < 0
    play.hold(judge.SHUTDOWN, not is_crash, "a client that ends by itself, or waits", "one that a signal ended")


SCENES: Final = (
    Scene(asked_to_end, (judge.GOODBYE,)),
    Scene(more_members, (judge.UNKNOWN_MEMBERS,)),
    Scene(in_crumbs, (judge.SPLIT_LINES,)),
    Scene(at_once, (judge.JOINED_LINES,)),
    Scene(long_line, (judge.LONG_LINES,)),
    Scene(unknown_event, (judge.UNKNOWN_EVENTS,)),
    Scene(unknown_directive, (judge.UNKNOWN_DIRECTIVES,)),
    Scene(comes_back, (judge.RESUMES, judge.CURSOR, judge.SINCE_IN_RUN)),
    Scene(another_run, (judge.UNKNOWN_RUN,)),
    Scene(falls_behind, (judge.LAGGED,)),
    Scene(shutdown, (judge.SHUTDOWN,)),
)


async def _copes(play: Play, rule: Rule, expected: str, odd: Callable[[Play, Caller], None] | None = None) -> None:
    """Play the odd thing once the client is registered, and see whether it goes on."""
    caller = await play.registered()
    if odd is not None:
        odd(play, caller)
    await play.settle()
    play.hold(rule, play.copes(caller), expected, "it left without `goodbye`")


async def _cut(play: Play, caller: Caller) -> int:
    """Cut the connection; the version that the client was told last. Raises: NotApplicable where it stays away."""
    since = play.last_told
    caller.close()
    if not await play.comes_back(1):
        raise NotApplicable("the client does not come back when its connection is cut")
    return since


def _with_more(line: bytes) -> bytes:
    value = json.loads(line)
    return json.dumps({"a_new_one": {"cmd": [1, None]}, **value, "new": "\n"}).encode() + b"\n"


def _tell_text(play: Play, caller: Caller) -> None:
    play.understudy.tell({"event": "published", "topic": "é", "payload": "é\U0001f600\u2028", "client_id": 0})


def _burst(play: Play, caller: Caller) -> None:
    for number in range(BURST):
        play.understudy.tell({"event": "published", "topic": "burst", "payload": number, "client_id": 0})


def _long(play: Play, caller: Caller) -> None:
    caller.say({"event": "bookmark", "version": play.understudy.state.version, "padding": "x" * LONG_BYTES})


def _strange_event(play: Play, caller: Caller) -> None:
    event = {"event": "published_in_space", "version": play.understudy.skip(1), "where": [{"x": 1}]}
    caller.say(event)


def _strange_directive(play: Play, caller: Caller) -> None:
    caller.say({"kind": "command", "cmd": "fold_yourself", "times": 7})
