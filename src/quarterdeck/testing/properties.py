"""Properties: a slice is held to its rules by thousands of inputs, which hypothesis makes of its commands.

After every input: nothing was raised; what was there before is as it was; the state is what its type says; and a mirror
that was told the events holds what the launcher's snapshot says. From any point on, a state that was frozen, written,
read and thawed goes on as the first one. In the end the inputs, written and read, give the same bytes again; in another
process with another order of hashes too, where the slice can be imported there by its name.
"""

from __future__ import annotations

import operator
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.mirror import Mirror
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Source, Step, SyntheticGoodbye, Tick
from quarterdeck.schema.commands import Goodbye, Register
from quarterdeck.schema.events import EVENT_TYPES, SliceEvent
from quarterdeck.schema.types import ProcessKind
from quarterdeck.slices.loaded import Loaded
from quarterdeck.slices.slice import Slice
from quarterdeck.testing.scripts import Line, digest, is_heard, loaded_of, outcome, play, read, told, written
from quarterdeck.testing.strategies import Pool, Strategy, values_of
from quarterdeck.wire.codec import LauncherDecoder, decode_as, encode_line, encode_value

INPUTS_MAX: Final = 40
ELSEWHERE_MAX: Final = 50
"""Stories that are played in another process, too."""
ELSEWHERE_S: Final = 60.0
PIDS: Final[dict[int, ProcessKind]] = {1: "host", 2: "srv", 3: "tool"}
KINDS: Final[tuple[ProcessKind, ...]] = ("host", "renderer", "srv", "tool")
FIRST: Final = ("a", "b", "c", 0, 1, 2, 3)
JUMPS_MS: Final = (0, 1, 1_000, 60_000)
_LENGTHS: Final = st.integers(1, INPUTS_MAX)
_PIDS: Final = st.sampled_from(list(PIDS))
_JUMPS_MS: Final = st.sampled_from(JUMPS_MS)
_SELDOM: Final = st.integers(0, 9).map(lambda drawn: drawn == 9)
_SEEDS: Final = st.integers(0, 2**32 - 1)
RUN_ID: Final = "00000000-0000-4000-8000-000000000001"


def check_slice(kind: type[Slice[Any]], *, examples: int = 100, commands: Strategy | None = None) -> None:
    """Hold a slice to its rules in `examples` stories of up to 40 inputs. `commands` draws its commands, where those
    made of their types alone seldom come to anything.

    Raises: AssertionError with the fewest inputs that were found to lead there, and what went wrong at the last one;
    ConfigError with all that is wrong with the slice.
    """
    loaded = loaded_of(kind)
    pool = Pool(FIRST)
    moves = st.tuples(_actions(kind, pool, commands), _PIDS, _JUMPS_MS, st.booleans(), _SELDOM)
    scripts: list[bytes] = []
    broken: list[tuple[list[Move], Exception]] = []

    @settings(
        max_examples=examples,
        phases=[Phase.generate],  # a script is made short below, quicker than drawing it again and again
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        story = _Story(loaded, pool, data.draw, moves)
        try:
            story.play()
        except Exception as error:
            broken.append((story.script, error))
            raise
        if len(scripts) < ELSEWHERE_MAX:
            scripts.append(written([move.line for move in story.script]))

    try:
        check()
    except Exception:
        if not broken:
            raise
        raise AssertionError(report(*shortest(loaded, *broken[0]))) from None
    _check_elsewhere(kind, loaded, scripts)


def _actions(kind: type[Slice[Any]], pool: Pool, commands: Strategy | None) -> Strategy:
    """What may happen: mostly a command; else processes that come and go, time, and what the slice listens to."""
    if commands is None:
        commands = st.one_of([values_of(command, pool) for command in kind.commands] or [st.just(Tick())])
    others = [
        st.builds(Register, kind=st.sampled_from(KINDS), pid=st.sampled_from(list(PIDS)), version=st.just("1")),
        st.sampled_from([Goodbye(), SyntheticGoodbye("disconnected"), SyntheticGoodbye("signaled", -9)]),
        st.just(Tick()),
        *[values_of(event, pool) for event in kind.listens],
    ]
    return st.one_of(commands, commands, commands, st.one_of(others))


class Move(NamedTuple):
    """An input, and whether the state is frozen and thawed behind it."""

    line: Line
    freezes: bool


class Trial:
    """A state that is held to the rules move by move, a twin that was thawed from it on the way, and a mirror."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.state = State(loaded=loaded)
        self._twin = State(loaded=loaded)
        self._decoder = LauncherDecoder(loaded.vocabulary)
        start: Any = self._decoder.decode(encode_line(snapshot(self.state, RUN_ID)))
        self._mirror = Mirror(start, loaded.kinds)

    def take(self, move: Move) -> Step:
        """One move. Raises: what the slice raises; AssertionError with the rule that it does not keep."""
        before = dict(self.state.slices)
        kept = {name: self.loaded.encode(held) for name, held in before.items()}
        step = play(self.state, move.line)
        for fault in step.faults:
            raise fault.error
        for name, held in before.items():
            assert self.loaded.encode(held) == kept[name], f"{name}: the state was changed in place"
        self._check_state()
        self._check_told(step, is_said=is_heard(move.line))
        assert told(play(self._twin, move.line)) == told(step), "the same inputs give something else the second time"
        if move.freezes:
            self._twin = thaw(decode_as(encode_value(freeze(self.state)), Checkpoint), loaded=self.loaded)
        return step

    def end(self, script: Sequence[Move]) -> None:
        """All of it again, from what was written."""
        lines = [move.line for move in script]
        again = outcome(self.loaded, read(self.loaded, written(lines)))
        assert again == outcome(self.loaded, lines), "the same inputs, written and read, give something else"

    def _check_state(self) -> None:
        for name, held in self.state.slices.items():
            back = self.loaded.decode(self.loaded.encode(held), self.loaded.states[name])
            assert back == held, f"{name}: the state is not what its type says: {held!r}"

    def _check_told(self, step: Step, *, is_said: bool) -> None:
        for event in step.events:
            decoded: Any = self._decoder.decode(encode_line(event))
            assert decoded == event, f"an event is not what its type says: {event!r}"
            if isinstance(event, SliceEvent):
                said: Any = event.sentence()
                assert said is None or isinstance(said, str), f"its sentence is no text: {said!r}"
            if is_said and not isinstance(event, SliceEvent):
                self._mirror.pass_over(event.version)
            else:
                self._mirror.apply(decoded)
        ours = encode_line(self._mirror.snapshot())
        assert ours == encode_line(snapshot(self.state, RUN_ID)), "the mirror does not hold what the launcher does"


class _Story:
    """One story, drawn move by move; `script` is what was drawn so far."""

    def __init__(self, loaded: Loaded, pool: Pool, draw: Callable[[Strategy], Any], moves: Strategy) -> None:
        self.script: list[Move] = []
        self._trial = Trial(loaded)
        self._pool = pool
        self._draw = draw
        self._moves = moves
        self._entropy = random.Random(draw(_SEEDS))
        self._now_ms = 0

    def play(self) -> None:
        """Play it to its end."""
        self._pool.clear()
        for pid, kind in PIDS.items():
            self._take(Register(kind=kind, pid=pid, version="1"), pid, freezes=False)
        for _ in range(self._draw(_LENGTHS)):
            value, pid, jump_ms, is_due, freezes = self._draw(self._moves)
            self._pass_time(jump_ms, is_due=is_due)
            self._take(value, value.pid if isinstance(value, Register) else pid, freezes=freezes)
        self._trial.end(self.script)

    def _pass_time(self, jump_ms: int, *, is_due: bool) -> None:
        due = self._trial.state.deadlines.nearest()
        if is_due and due is not None:  # just before it, at it, or later
            self._now_ms = max(self._now_ms, due - 1 + jump_ms)
        else:
            self._now_ms += jump_ms

    def _take(self, value: Any, pid: int, *, freezes: bool) -> None:
        self.script.append(Move(Line(self._context(value, pid), value), freezes))
        for event in self._trial.take(self.script[-1]).events:
            if isinstance(event, SliceEvent):
                self._pool.see(event)

    def _context(self, value: Any, pid: int) -> Context:
        entropy = self._entropy.getrandbits(64)
        now = f"2030-01-01T{self._now_ms // 3_600_000 % 24:02d}:00:00.{self._now_ms % 1_000:03d}Z"
        if isinstance(value, (Tick, *EVENT_TYPES)):
            return Context(now, self._now_ms, "clock", entropy=entropy)
        source: Source = "launcher" if isinstance(value, SyntheticGoodbye) else "client"
        return Context(now, self._now_ms, source, 1, pid, None, entropy)


# --- what went wrong


def shortest(loaded: Loaded, script: list[Move], error: Exception) -> tuple[list[Move], Exception]:
    """The script without what is not needed for its error, and the error as it is then."""
    size = len(script) // 2
    while size:
        at = 0
        while at < len(script):
            fewer = script[:at] + script[at + size :]
            found = _error_of(loaded, fewer)
            if found is not None and _is_alike(found[1], error):
                script, error = found
            else:
                at += size
        size //= 2
    return script, error


def _error_of(loaded: Loaded, script: Sequence[Move]) -> tuple[list[Move], Exception] | None:
    """What goes wrong in a script, and the script up to there."""
    trial = Trial(loaded)
    taken: list[Move] = []
    try:
        for move in script:
            taken.append(move)
            trial.take(move)
        trial.end(taken)
    except Exception as error:
        return taken, error
    return None


def _is_alike(one: Exception, other: Exception) -> bool:
    return type(one) is type(other) and (not isinstance(one, AssertionError) or str(one)[:30] == str(other)[:30])


def report(script: Sequence[Move], error: Exception) -> str:
    """The inputs and what went wrong."""
    inputs = [f"  {_sender(move.line)}{encode_value(move.line.value).decode()}" for move in script]
    said = "".join(traceback.format_exception(error)).rstrip()
    return "\n".join((f"after {len(inputs)} inputs:", *inputs, said))


def _sender(line: Line) -> str:
    return "" if line.ctx.pid is None else f"of pid {line.ctx.pid}: "


def _check_elsewhere(kind: type[Slice[Any]], loaded: Loaded, scripts: list[bytes]) -> None:
    """Another process, where sets and dicts of texts have another order, gives the same bytes."""
    if not _is_importable(kind):
        return
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed}
    argv = (sys.executable, "-m", "quarterdeck.testing.scripts", f"{kind.__module__}:{kind.__qualname__}")
    done = subprocess.run(
        argv, input=b"\n".join(scripts), capture_output=True, env=environ, timeout=ELSEWHERE_S, check=False
    )
    assert done.returncode == 0, f"in another process: {done.stderr.decode(errors='replace')}"
    assert done.stdout.decode() == digest(loaded, scripts), (
        "the same inputs give something else in another process: does it depend on the order of a set, or on the world?"
    )


def _is_importable(kind: type) -> bool:
    """Whether its name leads to it in another process, too."""
    if kind.__module__ == "__main__" or "<" in kind.__qualname__:
        return False
    try:
        return operator.attrgetter(kind.__qualname__)(sys.modules[kind.__module__]) is kind
    except (KeyError, AttributeError):
        return False
