"""The launcher's end of the guard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.drivers.guarding import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_killed_guard_was_asked_for_and_has_not_made_is_told_as_failed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.drivers.lost_guard", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
