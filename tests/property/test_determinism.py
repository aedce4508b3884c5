"""The same inputs give the same bytes to everybody, in any process and whatever the seed of its hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import quarterdeck

ROOT = Path(__file__).parent.parent.parent
SOURCES = Path(quarterdeck.__path__[0]).parent


def digest(seed: int, hash_seed: int) -> str:
    """What a process of its own says of a story."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{ROOT}{os.pathsep}{SOURCES}"}
    command = [sys.executable, "-m", "tests.property.scripted", str(seed)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("seed", [1, 2])
def test_a_story_is_told_the_same_in_every_process(seed: int) -> None:
    first, second = digest(seed, hash_seed=1), digest(seed, hash_seed=20)
    assert first == second
    assert int(first.split()[0]) > 20_000
