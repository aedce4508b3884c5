"""The tables of the documentation are what the sources say now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

from quarterdeck.schema.commands import COMMAND_NAMES
from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.replies import DIRECTIVE_NAMES, REPLY_NAMES
from quarterdeck.schema.types import ErrorCode

ROOT = Path(__file__).parent.parent.parent


def test_the_written_files_are_current() -> None:
    script = ROOT / "scripts" / "generate_docs.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_word_of_the_vocabulary_has_its_row() -> None:
    page = (ROOT / "docs" / "protocol-tables.md").read_text(encoding="utf-8")
    for name in COMMAND_NAMES | EVENT_NAMES | REPLY_NAMES | DIRECTIVE_NAMES | set(get_args(ErrorCode)):
        assert f"\n| `{name}` |" in page, name
