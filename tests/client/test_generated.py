"""The typed methods of both fronts are what the schema says, and the same."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from quarterdeck.client.aio_commands import AsyncCommands
from quarterdeck.client.blocking_commands import BlockingCommands
from quarterdeck.schema.commands import COMMAND_NAMES

ROOT = Path(__file__).parent.parent.parent
METHODS = sorted(COMMAND_NAMES - {"register", "goodbye"})


def test_the_written_files_are_current() -> None:
    script = ROOT / "scripts" / "generate_client.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", METHODS)
def test_every_command_has_the_same_method_in_both_fronts(name: str) -> None:
    waits, blocks = getattr(AsyncCommands, name), getattr(BlockingCommands, name)
    assert inspect.iscoroutinefunction(waits)
    assert inspect.signature(waits) == inspect.signature(blocks)
    assert waits.__doc__ == blocks.__doc__
    assert waits.__doc__
