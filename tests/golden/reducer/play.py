"""A transcript of the reducer as text: inputs with their time and sender, and in full what came of each.

A line of a transcript is one of

    # prose                        what the next lines show; empty lines are free
    run [host] [RULE=N …]          begins a fresh state, with these rules; `host`: pid 1 registered as host at 0 ms;
                                   the launcher's own sagas are on, and the first one's id is 100
    @MS client:PID {"cmd":…}       a command of a registered pid, at this time of the run's clock
    @MS witness {"cmd":…}          the same words, as a witness's own report
    @MS tick                       time passed
    @MS gone:PID REASON CODE       a synthetic goodbye
    @MS signal                     the launcher is told to end
    @MS finished                   nothing is left to wait for
    @MS journal STATE              the journal reports of itself
    @MS restarted                  the launcher died, and the next one says so
    @MS checked:PID FOUND          the window system was asked whether this host hangs
    ? nearest                      asks for the nearest deadline
    ? MEMBER                       asks for a member of the snapshot, a row a line where it has rows
      …                            indented: what came of it, all of it, in order

What comes back: a stream event as it is sent; `welcome CLIENT_ID`; `error CODE MESSAGE`, `error, fatal` where it ends
the connection; `-> EFFECT` with its members. Nothing at all: silence, and nothing changed that anybody could see.
After every input the events are folded over the empty state, and must give the snapshot (semantics, invariant 0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import (
    Context,
    HostChecked,
    Input,
    JournalReported,
    LauncherRestarted,
    QuitSignalled,
    Refused,
    ShutdownFinished,
    Source,
    Step,
    SyntheticGoodbye,
    Tick,
    Welcome,
)
from quarterdeck.drivers.fake import FakeClock
from quarterdeck.schema.commands import Command, Register
from quarterdeck.schema.events import StreamEvent
from quarterdeck.wire.codec import encode_line

RUN_ID = "00000000-0000-4000-8000-000000000001"
HOST = Register(kind="host", pid=1, version="1")

SAGAS: dict[str, object] = {"saga_id_first": 100, "sagas": tuple(BUILTIN_SAGAS)}

_INPUT = re.compile(r"@(?P<ms>\d+) (?P<who>[a-z]+)(:(?P<pid>\d+))?( (?P<what>.+))?")
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[StreamEvent] = msgspec.json.Decoder(StreamEvent)


def play(text: str) -> str:
    """The transcript of a script: its lines, each followed by what comes of it now.

    Raises: ValueError naming a line that is none of the above.
    """
    run = Run()
    played: list[str] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if line.startswith("  "):
            continue
        played.append(line)
        if line.startswith("run"):
            run = Run(line.split()[1:])
        elif line.startswith("? "):
            played.extend(f"  {row}" for row in run.ask(line.removeprefix("? ")))
        elif line and not line.startswith("#"):
            found = _INPUT.fullmatch(line)
            if found is None:
                raise ValueError(f"line {number}: {line!r}")
            played.extend(f"  {said}" for said in run.input(found))
    return "\n".join(played) + "\n"


class Run:
    """One fresh state that is fed inputs."""

    def __init__(self, words: list[str] | None = None) -> None:
        rules = dict(word.split("=") for word in words or [] if "=" in word)
        self._state = State(msgspec.convert({**SAGAS, **rules}, Rules, strict=False))
        self._mirror = Mirror(snapshot(self._state, RUN_ID))
        self._clock = FakeClock()
        if "host" in (words or []):
            self._feed(HOST, "client", 1)

    def input(self, found: re.Match[str]) -> list[str]:
        """What comes of an input line."""
        late = int(found["ms"]) - self._clock.now_ms()
        assert late >= 0, f"time goes on: {found[0]}"
        self._clock.advance(late)
        pid = int(found["pid"]) if found["pid"] else None
        match found["who"]:
            case "client":
                return list(_lines(self._feed(_commands.decode(found["what"]), "client", pid)))
            case "witness":
                return list(_lines(self._feed(_commands.decode(found["what"]), "witness", None)))
            case "tick":
                return list(_lines(self._feed(Tick(), "clock", None)))
            case "gone":
                reason, code = found["what"].split()
                gone = SyntheticGoodbye(reason, int(code))  # type: ignore[arg-type]  # a word of the transcript
                return list(_lines(self._feed(gone, "launcher", pid)))
            case "signal":
                return list(_lines(self._feed(QuitSignalled("SIGTERM"), "launcher", None)))
            case "finished":
                return list(_lines(self._feed(ShutdownFinished(), "launcher", None)))
            case "restarted":
                return list(_lines(self._feed(LauncherRestarted(), "launcher", None)))
            case "journal":
                reported = JournalReported(found["what"])  # type: ignore[arg-type]  # a word of the transcript
                return list(_lines(self._feed(reported, "launcher", None)))
            case "checked":
                checked = HostChecked(pid or 0, found["what"])  # type: ignore[arg-type]  # a word of the transcript
                return list(_lines(self._feed(checked, "witness", None)))
        raise ValueError(found[0])

    def ask(self, member: str) -> list[str]:
        """What a `?` line answers."""
        if member == "nearest":
            due_ms = self._state.deadlines.nearest()
            return [f"nearest {'none' if due_ms is None else due_ms}"]
        shown = getattr(snapshot(self._state, RUN_ID), member)
        if not isinstance(shown, tuple):
            return [_text(shown)]
        return [_text(row) for row in shown] or ["(none)"]

    def _feed(self, value: Input, source: Source, pid: int | None) -> Step:
        before = encode_line(snapshot(self._state, RUN_ID))
        ctx = Context(self._clock.now(), self._clock.now_ms(), source, 1, pid, None, self._clock.entropy())
        step = reduce(self._state, value, ctx)
        for event in step.events:
            self._mirror.apply(_events.decode(encode_line(event)))
        after = encode_line(snapshot(self._state, RUN_ID))
        assert encode_line(self._mirror.snapshot()) == after, "the fold is not the snapshot"
        assert not isinstance(step.reply, Refused) or after == before, "refused, and yet the state changed"
        return step


def _lines(step: Step) -> Iterator[str]:
    for event in step.events:
        yield _text(event)
    if isinstance(step.reply, Refused):
        yield f"error{', fatal' if step.reply.fatal else ''} {step.reply.code} {step.reply.message}"
    elif isinstance(step.reply, Welcome):
        yield f"welcome {step.reply.client_id}"
    for effect in step.effects:
        yield f"-> {type(effect).__name__} {_text(effect)}"


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
