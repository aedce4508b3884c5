"""What changed journals have shown: the commands that look back say what is wrong in one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import journals

DEEP = b'{"a":' * 100_000


@pytest.mark.parametrize(
    ("change", "command", "words"),
    [
        (b"runs.run_id 0 '1e9", "export", "the first row of run 1e9 is not what was written: it names 00000001-"),
        (b"runs.head 1 {}", "export", "the first row of run 00000002-"),
        (b"runs.began_ms 0 #253402300800000", "events", "run 1 is not what was written"),
        (b"runs.first_step 1 #-9223372036854775808", "state", "run 2 is not what was written"),
        (b"steps.at_ms 2 #253402300800000", "events", "step 3 is not what was written"),
        (b"steps.version 1 #1", "state --run 00000001 --at 5", "event 4 does not fit those before it"),
        (b'steps.events 12 {"event":"window_closed","version":1,"label":"x","crash_detected":false}\\n',
         "state", "event 1 does not fit those before it: 'x'"),
        (b"steps.events 2 x\\n", "events --kind a*", "not an event: b'x\\n'"),
        (b"steps.events 12 {}\\n", "why 2", "step 13: event 2 is not what was written"),
        (b'steps.events 12 {"event":"x","version":7}\\n', "why 2", "step 13: event 2 is not what was written"),
        (b'steps.events 16 "hwnd":null=>"hwnd":"x"', "why 9", "not an event: `hwnd`: expected `int | null`, got `str`"),
        (b"steps.input 16 " + DEEP, "why 9", "step 17 is none that this version knows: it nests too deep"),
        (b"checkpoints.state 0 101=>1e999", "state --run 00000001", "the state after step 5 is none that this version"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, change: bytes, command: str, words: str) -> None:
    path = journals.write(journals.with_rows_changed(change), tmp_path)
    code, said = journals.called([*command.split(), "--journal", str(path)])
    assert said.startswith(f"quarterdeck: {path}: {words}")
    assert (code, said.count("\n")) == (1, 1)
