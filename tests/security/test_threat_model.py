"""SECURITY.md: each attack in it names tests that show what holds it off, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def attacks() -> list[tuple[str, str]]:
    """The first and the last cell of each row of the tables of attacks."""
    tables = re.findall(r"^\| attack \|.*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    rows = [row for table in tables for row in table.strip().splitlines()[2:]]
    return [(cells[0], cells[-1]) for cells in (row.strip("| ").split(" | ") for row in rows)]


def test_every_attack_names_a_test() -> None:
    assert len(attacks()) > 15
    assert [attack for attack, tests in attacks() if not re.search(r"`tests/\S+::\w+`", tests)] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_it_names_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_file_of_attacks_is_named() -> None:
    here = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert here - {file for file, _ in NAMED} == {"tests/security/test_threat_model.py"}
