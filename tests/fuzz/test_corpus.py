"""What fuzzing found worth keeping still holds, and so do some random bytes (much more: `make fuzz`)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import CORPUS, TARGETS, kept


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_kept(name: str) -> None:
    for line in kept(name):
        TARGETS[name](line)


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_fuzzer_begins_with(name: str) -> None:
    assert seeds(name)
    for line in seeds(name):
        TARGETS[name](line)


QUICK = [name for name in TARGETS if not name.startswith("journal_")]


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=50)
@given(data=st.data())
def test_pieces_put_together(name: str, data: st.DataObject) -> None:
    put_together(name, data)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in QUICK])
@settings(max_examples=8)
@given(data=st.data())
def test_pieces_put_together_for_those_who_read_whole_files(name: str, data: st.DataObject) -> None:
    put_together(name, data)


def put_together(name: str, data: st.DataObject) -> None:
    known = st.sampled_from([*seeds(name), *kept(name)])
    parts = st.one_of(known, st.binary(max_size=20), known.map(lambda line: line[: len(line) // 2]))
    TARGETS[name](b"".join(data.draw(st.lists(parts, max_size=4))))


def test_every_corpus_has_its_target() -> None:
    assert {path.stem for path in CORPUS.iterdir()} == set(TARGETS)
