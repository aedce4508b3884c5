"""docs/conformance.md: what it shows of a broken rule is what is said."""

from __future__ import annotations

import re
from pathlib import Path

from quarterdeck.version import __version__
from tests.conformance.faulty import behind
from tests.conformance.test_faulty_launchers import TakesFractions
from tests.launching import Launcher
from tests.ui.running import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def test_the_broken_rule_is_shown_as_it_is(launcher: Launcher) -> None:
    shown = re.search(r"<!-- broken -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    with behind(launcher.endpoint, TakesFractions) as endpoint:
        said = run("conform", "--endpoint", endpoint, "--only", "1/integers").stdout
    said = re.sub(r'pid": ?\d+', lambda pid: re.sub(r"\d+", "$PID", pid[0]), said)
    said = re.sub(r'"run_id":"[^"]*"', '"run_id":"$RUN"', said).replace(f'"{__version__}"', '"$VERSION"')
    assert sorted(said.splitlines()) == sorted(shown[1].splitlines())  # two pongs may come in one read or in two
