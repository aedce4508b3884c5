"""The stopper stops what the tests start, lets it go on, and leaves out who asks for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = '''
import subprocess, sys
import pytest

PROGRAM = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
signal.sigwait({signal.SIGCONT})
"""

def test_that_ends_once_its_process_was_stopped_and_goes_on():
    assert subprocess.run([sys.executable, "-c", PROGRAM]).returncode == 0

@pytest.mark.steady
def test_that_is_left_out():
    raise AssertionError
'''


@pytest.mark.skipif(sys.platform == "win32", reason="no signal stops a process there")
def test_processes_of_the_tests_are_stopped_and_go_on(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    tests = ["-c", os.devnull, "-p", "no:cacheprovider", str(tmp_path)]
    command = [sys.executable, "-m", "tests.stops.run", "--seed", "3", "--", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 deselected" in done.stdout
    stops = re.search(r"^(\d+) stops, seed 3$", done.stdout, re.MULTILINE)
    assert stops is not None
    assert int(stops[1]) >= 1
