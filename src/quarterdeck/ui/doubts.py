"""Doubts: that a name or a pattern fits no event, said on standard error; a stream or a journal may still hold one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from quarterdeck.ui.text import safe


@contextmanager
def doubts_as_lines() -> Iterator[None]:
    """Say what the client warns of within as lines of ours."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        yield
    _say(str(each.message) for each in warned)


def doubt_kinds(kinds: Iterable[str], names: Iterable[str], slices: Iterable[str]) -> None:
    """Say which of the patterns fit none of the events' names, and nothing that one of the slices can have told."""
    from quarterdeck.schema.patterns import unheard

    _say(unheard(kinds, sorted(names), slices).values())


def _say(doubts: Iterable[str]) -> None:
    for said in doubts:
        sys.stderr.write(f"quarterdeck: warning: {safe(said)}\n")
    sys.stderr.flush()
