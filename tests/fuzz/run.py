"""Fuzz one target for a while: `python -m tests.fuzz.run NAME --seconds 60 [--keep]`; without a name, each in turn.

Needs the extra `fuzz` (atheris). It begins with the corpus and the seeds. An input that breaks the invariant is shown,
written as the corpus is, and the exit code is 1: mend it, and add it to the corpus. `--keep` adds what reached new
branches.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz import targets
from tests.fuzz.seeds import seeds

INPUT_BYTES_MAX = 4_000
KEPT_MAX = 150
KEPT_OF_FILES_MAX = 25
"""Of the targets that read whole files, some hundred times as slow."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(targets.TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        _fuzz(given.name, given.inside, given.seconds)
    names = [given.name] if given.name else list(targets.TARGETS)
    return max(_run(name, given.seconds, given.keep) for name in names)


def _run(name: str, seconds: int, is_kept: bool) -> int:
    """Fuzz in a process of its own, which a crash of ours may end in any way."""
    before = targets.kept(name) if (targets.CORPUS / f"{name}.txt").exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for number, known in enumerate([*before, *seeds(name)]):
            Path(folder, f"seed-{number}").write_bytes(known)
        command = [sys.executable, "-m", "tests.fuzz.run", name, "--inside", folder, "--seconds", str(seconds)]
        done = subprocess.run(
            command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace", check=False
        )
        lines = done.stderr.splitlines()
        print(f"{name}: {next((line for line in reversed(lines) if 'DONE' in line or 'exec/s' in line), 'nothing')}")
        found = [path.read_bytes() for path in Path(folder).glob("crash-*")]
        if done.returncode or found:
            print("\n".join(line for line in lines if not line.startswith("#"))[-3_000:])
            for crash in found:
                print(f"{name}: broken by {crash.decode('latin-1').encode('unicode_escape').decode()}")
            return 1
        if is_kept:
            reached = sorted((path.read_bytes() for path in Path(folder).iterdir()), key=len)
            kept_max = KEPT_OF_FILES_MAX if name.startswith("journal_") else KEPT_MAX
            targets.keep(name, [*before, *reached[: max(0, kept_max - len(before))]])
    return 0


def _fuzz(name: str, folder: str, seconds: int) -> None:
    """Never returns: the fuzzer ends the process."""
    from importlib import import_module

    atheris: Any = import_module("atheris")  # not everybody's: it is in an extra of its own
    with atheris.instrument_imports(include=["quarterdeck"]):
        for module in [module for module in sys.modules if module.startswith(("quarterdeck", "tests."))]:
            del sys.modules[module]
        target = import_module(targets.__name__).TARGETS[name]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-artifact_prefix={folder}/",
        "-timeout=20",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], *options, folder], target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
