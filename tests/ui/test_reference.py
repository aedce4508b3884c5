"""docs/cli.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

from quarterdeck.ui import reference


def test_the_reference_is_current() -> None:
    written = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
    assert written.read_text(encoding="utf-8") == reference.render(), (
        "write it anew: python -m quarterdeck.ui.reference"
    )
