"""The lock holds to its rules, and what breaks them is told."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "audit.py"
HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_is_in_order() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--offline"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_good_lock_has_no_faults(audit: ModuleType) -> None:
    first = f"a==1.0 \\\n    {HASH} \\\n    {HASH}\n    # via b\n"
    text = f"# by make lock\n{first}b==2 ; python_version < '3.12' \\\n    {HASH}\n    # via c\n"
    pinned, faults = audit.read_lock(text)
    assert faults == []
    assert [(pin.name, pin.version, pin.hashes) for pin in pinned] == [("a", "1.0", 2), ("b", "2", 1)]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("a>=1", "expected NAME==VERSION"),
        ("a", "expected NAME==VERSION"),
        ("a==1.*", "expected NAME==VERSION"),
        ("a @ https://example.org/a.whl", "no address or option"),
        ("git+https://example.org/a", "no address or option"),
        ("-e .", "no address or option"),
        ("--index-url https://example.org/simple", "no address or option"),
        ("--extra-index-url https://example.org/simple", "no address or option"),
        ("-r other.txt", "no address or option"),
        ("./a.whl", "no address or option"),
    ],
)
def test_what_is_no_exact_version_is_told(audit: ModuleType, entry: str, said: str) -> None:
    _, faults = audit.read_lock(f"{entry} \\\n    {HASH}\n    # via b\n")
    assert len(faults) == 1
    assert said in faults[0]
    assert faults[0].startswith("line 1: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a==1\n    # via b\n", "it has no hash"),
        (f"a==1 \\\n    --hash=md5:{'0' * 32}\n    # via b\n", "expected a hash (sha256)"),
        (f"a==1 \\\n    {HASH[:-1]}\n    # via b\n", "expected a hash (sha256)"),
        (f"a==1 \\\n    {HASH}\n", "nobody needs it"),
        (f"a==1 \\\n    {HASH}\n    # via b\na==2 \\\n    {HASH}\n    # via b\n", "a is pinned twice"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(audit: ModuleType, text: str, said: str) -> None:
    assert any(said in fault for fault in audit.read_lock(text)[1])


def test_what_the_project_asks_for_and_the_lock_lacks_is_told(audit: ModuleType) -> None:
    pinned, _ = audit.read_lock(f"rich==13.0 \\\n    {HASH}\n    # via b\n")
    assert list(audit.lacking(pinned, ["rich>=13.0"])) == []
    assert list(audit.lacking(pinned, ["Rich>=13.7", "click>=8; sys_platform != 'win32'"])) == [
        "pyproject.toml asks for Rich>=13.7, and the lock has 13.0; run: make lock",
        "pyproject.toml asks for click>=8; sys_platform != 'win32', and the lock has none; run: make lock",
    ]


def test_what_pip_audit_knows_is_told_apart_from_what_it_could_not_ask(audit: ModuleType) -> None:
    answer = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}]},
            {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"},
        ]
    }
    known, unasked, asked = audit.judged(json.dumps(answer))
    assert known == ["b 2: PYSEC-1 (CVE-1); mended in 3"]
    assert unasked == ["Dependency not found on PyPI and could not be audited: c (1)"]
    assert asked == 2


def test_where_the_network_does_not_let_it_it_says_so_and_why(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(command: list[str]) -> str:
        raise subprocess.CalledProcessError(1, command, "", "trying\nERROR: No matching distribution found\n")

    monkeypatch.setattr(audit, "_run", refused)
    monkeypatch.setattr(audit.venv, "create", lambda *_, **__: None)
    assert audit.online() == []
    said = capsys.readouterr().out
    assert said == "audit: skipped what is known against the lock: ERROR: No matching distribution found\n"
