"""Look at what we install: requirements.lock as it is, and what is known against it.

    python scripts/audit.py --offline     what can be told without a network; a part of `make check`
    python scripts/audit.py [--tell]      the same, then pip-audit, where the network lets it; --tell: only say it

Rules of the lock: each requirement is one exact version, with hashes of it (SHA-256 alone), and says who needs it; no
address, no option, no file beside it, so that nobody but the registry that pip is set to use, and nothing but those
bytes, counts. All that pyproject.toml asks for is there, in a version that it takes, and under a licence of the table.

pip-audit runs in an environment of its own, which is thrown away. What could not be asked is said, and why: a
registry's mirror often has the files and not what is known against them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PIN = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][0-9a-z.+!]*)(?: ; (?P<marker>[^#\\]+?))?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
LICENCES = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public License 2\.0|Unlicense|0BSD|CC0|Zlib",
    re.IGNORECASE,
)
"""Those that let anybody use, change and pass on what we install; for MPL that is so as long as its files are."""
WAIT_S = 60


class Pinned(NamedTuple):
    """One requirement of the lock: the line that it begins at, and how many hashes it has."""

    line: int
    name: str
    version: str
    marker: str
    hashes: int


def read_lock(text: str) -> tuple[list[Pinned], list[str]]:
    """What a lock pins, and what is wrong with how it is written."""
    pinned: list[Pinned] = []
    faults: list[str] = []
    for number, words in _entries(text):
        first, *rest = words
        found = PIN.fullmatch(first)
        if found is None:
            faults.append(f"line {number}: {first}: expected NAME==VERSION, and no address or option")
            continue
        strange = [word for word in rest if not HASH.fullmatch(word) and not word.startswith("# via ")]
        faults += [f"line {number}: {found['name']}: expected a hash (sha256) and not {word}" for word in strange]
        hashes = sum(bool(HASH.fullmatch(word)) for word in rest)
        if not hashes:
            faults.append(f"line {number}: {found['name']}: it has no hash")
        if not any(word.startswith("# via ") for word in rest):
            faults.append(f"line {number}: {found['name']}: nobody needs it; make lock writes who does")
        pinned.append(Pinned(number, found["name"], found["version"], found["marker"] or "", hashes))
    names = [pin.name for pin in pinned if not pin.marker]
    faults += [f"{name} is pinned twice" for name in sorted(set(names)) if names.count(name) > 1]
    return pinned, faults


def lacking(pinned: Iterable[Pinned], wanted: Iterable[str]) -> Iterator[str]:
    """What pyproject.toml asks for and the lock has not, or not in a version that it takes."""
    versions: dict[str, list[str]] = {}
    for pin in pinned:
        versions.setdefault(pin.name, []).append(pin.version)
    for text in wanted:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name), [])
        if not any(requirement.specifier.contains(version, prereleases=True) for version in found):
            yield f"pyproject.toml asks for {text}, and the lock has {', '.join(found) or 'none'}; run: make lock"


def wanted_by(project: dict[str, Any]) -> list[str]:
    """What a pyproject.toml asks for: at run time, and to work on it. (Other extras are for who wants them.)"""
    table = project["project"]
    extras = table["optional-dependencies"]["dev"]
    return [*table["dependencies"], *project["build-system"]["requires"], *extras]


def unlicensed(pinned: Iterable[Pinned]) -> Iterator[str]:
    """What is installed here under a licence that the table does not have."""
    for pin in pinned:
        try:
            about = metadata.metadata(pin.name)
        except metadata.PackageNotFoundError:
            continue  # for another system or interpreter
        said = [about.get("License-Expression"), *(about.get_all("Classifier") or ()), about.get("License")]
        named = [text for text in said if text and (text.startswith("License ::") or " :: " not in text)]
        if not any(LICENCES.search(text[:200]) for text in named):
            what = "; ".join(named)[:200] or "it says none"
            yield f"{pin.name} {pin.version}: its licence is not one of ours: {what}"


def offline() -> list[str]:
    """All that is wrong and can be told without a network."""
    pinned, faults = read_lock(LOCK.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*faults, *lacking(pinned, wanted_by(project)), *unlicensed(pinned)]


def judged(answer: str) -> tuple[list[str], list[str], int]:
    """What pip-audit's answer knows against the lock, what it could not ask, and how many it asked about.

    Raises: ValueError where it is no answer.
    """
    rows = json.loads(answer)["dependencies"]
    known = [
        f"{row['name']} {row['version']}: {found['id']} ({', '.join(found['aliases']) or 'no other name'}); "
        f"mended in {', '.join(found['fix_versions']) or 'no version'}"
        for row in rows
        for found in row.get("vulns", ())
    ]
    unasked = [str(row["skip_reason"]) for row in rows if "skip_reason" in row]
    return known, unasked, len(rows) - len(unasked)


def online() -> list[str]:
    """What is known against what we install; says what could not be asked."""
    with tempfile.TemporaryDirectory(prefix="qd-audit-") as folder:
        try:
            venv.create(folder, with_pip=True)
            pip = [f"{folder}/bin/pip", "--disable-pip-version-check", "--no-input"]
            _run([*pip, "install", "--quiet", "--retries", "1", "--timeout", "10", "pip-audit"])
            audit = [f"{folder}/bin/pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
            answer = _run([*audit, "--format", "json", "--requirement", str(LOCK)])
            known, unasked, asked = judged(answer)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            print(f"audit: skipped what is known against the lock: {_why(error)}")
            return []
    if not asked:
        print(f"audit: skipped what is known against the lock: {unasked[0] if unasked else 'it is empty'}")
        return []
    if unasked:
        print(f"audit: {len(unasked)} could not be asked about: {unasked[0]}{', …' if unasked[1:] else ''}")
    print(f"audit: {asked} asked about, {len(known)} known to be vulnerable")
    return known


def main() -> int:
    """Print what is wrong; 1 where something is."""
    parser = argparse.ArgumentParser(description="Look at what we install.")
    parser.add_argument("--offline", action="store_true", help="ask nobody")
    parser.add_argument("--tell", action="store_true", help="what is known against it is said, and no failure")
    options = parser.parse_args()
    faults = offline()
    for fault in faults:
        print(f"audit: {fault}")
    known = [] if options.offline else online()
    for one in known:
        print(f"audit: {one}")
    return int(bool(faults) or (bool(known) and not options.tell))


def _entries(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each requirement's words, from its line to the next one's: itself with its marker, hashes, and who needs it."""
    entry: tuple[int, list[str]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.removesuffix("\\").strip()
        if not bare or (line.startswith("#") and entry is None):
            continue
        if line[0].isspace():
            if entry is not None:
                entry[1].append(bare)
            continue
        if entry is not None:
            yield entry
        entry = (number, [bare])
    if entry is not None:
        yield entry


def _run(command: list[str]) -> str:
    """What it prints; it may end with 1, as pip-audit does where it has found something. Raises: SubprocessError."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    if done.returncode and not done.stdout.startswith("{"):
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in str(error.stderr).splitlines() if line.strip()]
        return lines[-1] if lines else f"{Path(error.cmd[0]).name} ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{Path(error.cmd[0]).name} took longer than {WAIT_S} s"
    return str(error).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
