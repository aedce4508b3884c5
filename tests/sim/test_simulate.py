"""The simulator: worlds in which every promise holds, the same world from the same seed, and its teeth."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quarterdeck.sim import simulate

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
WORLDS_TO_FIND_IT = 60
"""Each planted fault is found within so many worlds; most are in the first few."""

LAST_MOMENT = 910_086
"""A world in which the host answers a probe so late that the answer is under way when everything is looked at."""


@pytest.mark.parametrize("seed", range(1, 17))
def test_every_promise_holds_in_the_world_of_this_seed(seed: int) -> None:
    outcome = simulate(seed, trouble_s=30.0)
    assert outcome.violation is None, "\n".join((*outcome.trace, outcome.violation))
    assert outcome.events > 0
    assert outcome.inputs > 0


def test_a_host_that_answers_a_probe_in_the_last_moment_breaks_nothing() -> None:
    assert simulate(LAST_MOMENT).violation is None


def test_a_seed_gives_the_same_world_in_any_process() -> None:
    expected = [simulate(seed, trouble_s=20.0).digest for seed in (101, 102)]
    assert expected[0] != expected[1]
    program = "from quarterdeck.sim import simulate\nprint(*[simulate(s, trouble_s=20.0).digest for s in (101, 102)])"
    for hash_seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, timeout=100
        )
        assert done.stdout.split() == expected


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda path: path.stem)
def test_a_planted_fault_is_found(mutant: Path, tmp_path: Path) -> None:
    """Each patch is a fault that somebody could make; the sources that it is made in are a copy."""
    shutil.copytree(ROOT / "src" / "quarterdeck", tmp_path / "src" / "quarterdeck")
    patch = ["git", "apply", "-C1", str(mutant)]
    patched = subprocess.run(patch, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert patched.returncode == 0, f"make the patch anew: {patched.stderr}"
    found = _simulate(tmp_path / "src", WORLDS_TO_FIND_IT)
    assert "BROKEN" in found
    assert "play it again: quarterdeck simulate --seed" in found


def test_there_are_a_dozen_planted_faults() -> None:
    assert len(MUTANTS) >= 12


def _simulate(source: Path, worlds: int) -> str:
    """What the command line says of these sources, up to the first world that breaks a promise."""
    program = (
        "import sys\nfrom quarterdeck.ui.cli import main\n"
        f"for seed in range(1, {worlds + 1}):\n"
        "    if main(['simulate', '--seed', str(seed), '--trouble', '30']):\n        break\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=110)
    return done.stdout
