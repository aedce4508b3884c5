"""The launcher's end of the guard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.drivers.guarding import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("story", ["lost_guard", "hung_guard"])
def test_a_guard_that_is_lost_or_hangs_takes_nothing_along_that_is_not_told(tmp_path: Path, story: str) -> None:
    command = [sys.executable, "-m", f"tests.drivers.{story}", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
