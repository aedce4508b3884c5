"""Every transcript is played against the real server and must come out as it stands, to the byte.

A change of the protocol changes transcripts: `pytest tests/golden --golden-rewrite` writes them anew, and the
difference is reviewed as prose. Those in `frozen/` belong to a released version of the protocol: no flag rewrites
them, and a later launcher must still say all that they say. It may say more in a line, since receivers ignore members
that they do not know, and word its errors anew.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("the transcripts are played over a Unix socket", allow_module_level=True)

import uvloop

from tests.golden.script import parse
from tests.golden.stage import run

FOLDER = Path(__file__).parent
LIVING = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*.txt"))
FROZEN = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("frozen/*.txt"))
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("name", LIVING)
def test_a_transcript_comes_out_as_it_stands(name: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    before = (FOLDER / name).read_text(encoding="utf-8")
    after = run(parse(before), tmp_path, asyncio.new_event_loop)
    if pytestconfig.getoption("golden_rewrite", default=False):
        (FOLDER / name).write_text(after, encoding="utf-8")
        return
    assert after.split("\n") == before.split("\n")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_transcript_is_still_said(name: str, loop: str, tmp_path: Path) -> None:
    before = (FOLDER / name).read_text(encoding="utf-8")
    after = run(parse(before), tmp_path, LOOPS[loop], "builtin_sagas=false")  # the first version had none
    released, said = before.split("\n"), after.split("\n")
    assert len(said) == len(released)
    for old, new in zip(released, said, strict=True):
        assert new == old or _says(new, old), f"released: {old}\n     now: {new}"


def _says(new: str, old: str) -> bool:
    """Whether both are lines of the same client, and the new one holds all that the old one does."""
    who, mark, members = old.partition("< ")
    return bool(mark) and new.startswith(who + mark) and _holds(_parsed(new.removeprefix(who + mark)), _parsed(members))


def _parsed(text: str) -> Any:
    return json.loads(text) if text.startswith("{") else text


def _holds(new: Any, old: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and (key == "message" or _holds(new[key], old[key])) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(new) == len(old) and all(map(_holds, new, old))
    return bool(new == old and type(new) is type(old))


@pytest.mark.parametrize("name", LIVING)
def test_both_loops_give_the_same_transcript(name: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("golden_rewrite", default=False):
        pytest.skip("the transcripts are being rewritten")
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert run(parse(text), tmp_path, uvloop.new_event_loop).split("\n") == text.split("\n")


def test_there_are_transcripts() -> None:
    assert LIVING
    assert FROZEN
