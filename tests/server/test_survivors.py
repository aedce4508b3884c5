"""Survivors: what a guard's end in the middle leaves to whoever looks for what no guard knows. The rest is in
tests/ui/test_survivors.py, with real launchers.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from quarterdeck.server.survivors import _Ending

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there children end with their launcher")


@pytest.mark.parametrize("now", [True, False])
def test_a_guard_that_is_killed_before_it_greets_is_no_error(tmp_path: Path, now: bool) -> None:
    told: list[str] = []
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as ours:
        door.bind(str(tmp_path / "s"))
        door.listen()
        ours.connect(str(tmp_path / "s"))
        door.close()  # as the kernel does for a guard that is killed with us at its door: the connection is reset
        assert _Ending(ours, {}, told.append, None).end(now=now) == []
    assert told == []
