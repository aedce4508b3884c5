"""Portable: a journal as lines of JSON, and back.

One object a line, told apart by its `row`: `journal` with the format's version; a `run`; in order its `step`s, each
with what lies behind it, a `hole` before a `checkpoint`, and last a `setting` of the clock; and an `end` that counts,
so that a cut file is known. Inputs, events and states stand in the lines byte for byte as they were written, so the
export of an import is the same again.
Neither way holds more than one line in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
from msgspec import Meta, Raw, Struct

from quarterdeck.errors import JournalDamaged
from quarterdeck.log.reader import AT_MS_MAX, NUMBER_MAX, CheckpointRow, Hole, JournalReader, Run, Setting, StepRow
from quarterdeck.log.replica import Replica
from quarterdeck.server.runs import chosen, head_of
from quarterdeck.wire.codec import decode_as, encode_line

FORMAT: Final = 2
"""Of files with runs whose chain is of format 2, too; those without are of format 1, as 0.1.0 wrote them."""
LINE_BYTES_MAX: Final = 1 << 28
"""Longer is no line of ours: a step is two lines of the protocol and what they caused, a state a few megabytes."""

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""What a column holds."""
Moment = Annotated[int, Meta(ge=0, le=AT_MS_MAX)]
"""Unix milliseconds."""


class JournalLine(Struct, frozen=True, tag="journal", tag_field="row"):
    """The first line."""

    format: int


class RunLine(Struct, frozen=True, tag="run", tag_field="row", omit_defaults=True):
    """A run begins; `format` is that of its chain."""

    run_id: str
    first_step: Number
    began_ms: Moment
    head: Raw
    format: Annotated[int, Meta(ge=1, le=2)] = 1


class StepLine(Struct, frozen=True, tag="step", tag_field="row"):
    """A step, as `StepRow` has it."""

    step: Number
    version: Number
    at_ms: Moment
    chain: Number
    input: Raw
    events: list[Raw]


class CheckpointLine(Struct, frozen=True, tag="checkpoint", tag_field="row"):
    """A checkpoint, as `CheckpointRow` has it."""

    step: Number
    inputs: Number
    version: Number
    hash: str
    state: Raw


class HoleLine(Struct, frozen=True, tag="hole", tag_field="row"):
    """A hole, as `Hole` has it."""

    step: Number
    first_version: Number
    last_version: Number
    inputs: Number
    at_ms: Moment
    why: str


class SettingLine(Struct, frozen=True, tag="setting", tag_field="row"):
    """A setting of the clock, as `Setting` has it."""

    step: Number
    at_ms: Moment
    by_ms: Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]


class EndLine(Struct, frozen=True, tag="end", tag_field="row"):
    """The last line: how much went before."""

    runs: int
    steps: int


Mark = Hole | CheckpointRow | Setting
"""What lies between two steps."""
Line = JournalLine | RunLine | StepLine | CheckpointLine | HoleLine | SettingLine | EndLine


def export_journal(path: Path, write: Callable[[bytes], object], run: str | None = None) -> EndLine:
    """Write a journal, or one run of it (an id or how it begins), as lines with their newlines; returns the last one.

    Raises: ConfigError where no one run is meant; JournalDamaged, JournalUnavailable.
    """
    reader = JournalReader(path)
    try:
        runs = chosen(reader.runs(), run)
        write(encode_line(JournalLine(max((wanted.format for wanted in runs), default=FORMAT))))
        steps = sum(_export_run(reader, wanted, write) for wanted in runs)
        end = EndLine(len(runs), steps)
        write(encode_line(end))
        return end
    except JournalDamaged as error:
        raise reader.named(error) from error
    finally:
        reader.close()


def import_journal(source: BinaryIO, path: Path) -> EndLine:
    """Make a new journal of such lines; returns the last one.

    Raises: JournalUnavailable where the file exists or cannot be made; JournalDamaged with the number of a line that is
    wrong, and then nothing is left of the file.
    """
    replica = Replica(path)
    try:
        end = _import_lines(source, replica)
        replica.finish()
    except BaseException:
        replica.discard()
        raise
    return end


# --- out


def _export_run(reader: JournalReader, run: Run, write: Callable[[bytes], object]) -> int:
    """One run; returns how many steps it has."""
    head_of(run)
    write(encode_line(RunLine(run.run_id, run.first_step, run.began_ms, Raw(run.head), run.format)))
    marks = _marks(reader, run)
    mark = _write_marks(next(marks, None), marks, run.oldest_step - 1, write)
    steps = 0
    for row in reader.steps(run):
        write(_step_line(row))
        steps += 1
        if mark is not None and mark.step <= row.step:
            mark = _write_marks(mark, marks, row.step, write)
    return steps


def _marks(reader: JournalReader, run: Run) -> Iterator[Mark]:
    """What lies between the steps, in order."""
    before = run.oldest_step - 1
    holes: list[Mark] = [hole for hole in reader.holes(run) if hole.step >= before]
    checkpoints: Iterator[Mark] = reader.checkpoints(run, before - 1)
    settings: list[Mark] = [setting for setting in reader.settings(run.run) if before <= setting.step < run.last_step]
    return merge(holes, checkpoints, settings, key=attrgetter("step"))


def _write_marks(mark: Mark | None, marks: Iterator[Mark], step: int, write: Callable[[bytes], object]) -> Mark | None:
    """What lies behind a step; returns what lies further."""
    while mark is not None and mark.step <= step:
        if isinstance(mark, Hole):
            write(encode_line(HoleLine(*mark)))
        elif isinstance(mark, Setting):
            write(encode_line(SettingLine(*mark)))
        else:
            state = Raw(b"null") if mark.state is None else Raw(mark.state)
            write(encode_line(CheckpointLine(mark.step, mark.inputs, mark.version, mark.hash, state)))
        mark = next(marks, None)
    return mark


def _step_line(row: StepRow) -> bytes:
    return encode_line(StepLine(*row[:4], Raw(row.input), list(map(Raw, row.events.splitlines()))))


# --- in


def _import_lines(source: BinaryIO, replica: Replica) -> EndLine:
    runs = steps = 0
    for number, line in _numbered(source):
        try:
            if number == 1:
                _check_first(line)
            elif isinstance(line, EndLine):
                if line != EndLine(runs, steps):
                    raise JournalDamaged(
                        f"it says {line.runs} runs and {line.steps} steps; here are {runs} and {steps}"
                    )
                _check_over(source)
                return line
            else:
                runs += isinstance(line, RunLine)
                steps += isinstance(line, StepLine)
                _import_line(line, replica)
        except JournalDamaged as error:
            raise JournalDamaged(f"line {number}: {error}") from error
    raise JournalDamaged("the last line is missing: the file was cut off")


def _numbered(source: BinaryIO) -> Iterator[tuple[int, Line]]:
    """The lines and their numbers, counted from 1."""
    number = 0
    while text := source.readline(LINE_BYTES_MAX):
        number += 1
        if not text.endswith(b"\n"):
            long = len(text) == LINE_BYTES_MAX
            what = f"longer than {LINE_BYTES_MAX} bytes" if long else "cut off: its newline is missing"
            raise JournalDamaged(f"line {number}: it is {what}")
        try:
            yield number, decode_as(text, Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise JournalDamaged(f"line {number}: it is no line of an exported journal: {error}") from error


def _check_first(line: Line) -> None:
    if not isinstance(line, JournalLine):
        raise JournalDamaged("an exported journal begins with another line")
    if not 1 <= line.format <= FORMAT:
        raise JournalDamaged(f"a newer version wrote it: its format is {line.format}, known is {FORMAT}")


def _check_over(source: BinaryIO) -> None:
    if source.read(1):
        raise JournalDamaged("something follows the last line")


def _import_line(line: Line, replica: Replica) -> None:
    match line:
        case RunLine():
            head_of(Run(0, line.run_id, line.began_ms, bytes(line.head), line.first_step, 0, 0))
            replica.run(line.run_id, line.first_step, line.began_ms, bytes(line.head), line.format)
        case StepLine():
            events = b"".join([bytes(event) + b"\n" for event in line.events])
            replica.step(StepRow(line.step, line.version, line.at_ms, line.chain, bytes(line.input), events))
        case CheckpointLine():
            state = None if bytes(line.state) == b"null" else bytes(line.state)
            replica.checkpoint(CheckpointRow(line.step, line.inputs, line.version, line.hash, state))
        case HoleLine():
            replica.hole(Hole(*msgspec.structs.astuple(line)))
        case SettingLine():
            replica.setting(Setting(*msgspec.structs.astuple(line)))
        case _:
            raise JournalDamaged("it stands where a step belongs")
