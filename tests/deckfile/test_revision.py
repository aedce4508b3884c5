"""The revision of a process: whether anything of it is configured otherwise."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from msgspec import structs

from quarterdeck.deckfile import ProcessSpec, Ready, revision_of

SPEC = ProcessSpec(name="web", command=("web",), cwd="/", env={"A": "1", "B": "2"}, user_data={"a": {"x": 1, "y": 2}})


@pytest.mark.parametrize(
    "change",
    [
        {"command": ("web", "-v")},
        {"cwd": "/tmp"},
        {"env": {"A": "1", "B": "3"}},
        {"kind": "tool"},
        {"ready": Ready("port", port=1)},
        {"restart": "always"},
        {"stop_grace_ms": 1},
        {"memory_max": 2**20},
        {"log_files": 9},
        {"user_data": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_configuration_is_another_revision(change: dict[str, object]) -> None:
    assert revision_of(structs.replace(SPEC, **change)) != revision_of(SPEC)


def test_what_it_comes_after_and_the_order_of_tables_are_no_change() -> None:
    same = structs.replace(SPEC, after=("db",), env={"B": "2", "A": "1"}, user_data={"a": {"y": 2, "x": 1}})
    assert revision_of(same) == revision_of(SPEC)


def test_the_revision_is_the_same_in_another_process_and_after_a_journey() -> None:
    encoded = msgspec.json.encode(SPEC)
    assert revision_of(msgspec.json.decode(encoded, type=ProcessSpec)) == revision_of(SPEC)
    program = (
        "import msgspec, sys; from quarterdeck.deckfile import ProcessSpec, revision_of;"
        "print(revision_of(msgspec.json.decode(sys.argv[1], type=ProcessSpec)))"
    )
    done = subprocess.run([sys.executable, "-c", program, encoded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == revision_of(SPEC)
