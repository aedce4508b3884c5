"""Every transcript of the reducer must come out as it stands, to the byte: what semantics.md says, sentence by
sentence.

A change of the rules changes transcripts: `pytest tests/golden --golden-rewrite` writes them anew, and the difference
is reviewed as prose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.reducer.play import play

FOLDER = Path(__file__).parent
NAMES = sorted(path.name for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_comes_out_as_it_stands(name: str, pytestconfig: pytest.Config) -> None:
    before = (FOLDER / name).read_text(encoding="utf-8")
    after = play(before)
    if pytestconfig.getoption("golden_rewrite", default=False):
        (FOLDER / name).write_text(after, encoding="utf-8")
        return
    assert after.split("\n") == before.split("\n")


def test_there_are_transcripts() -> None:
    assert NAMES
