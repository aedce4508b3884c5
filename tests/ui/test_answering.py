"""How long a command waits for its launcher."""

from __future__ import annotations

import os
import signal

import pytest

from tests.ui.running import Launcher, run


@pytest.mark.steady
@pytest.mark.parametrize("command", [["ping"], ["snapshot"], ["ps"], ["send", '{"cmd":"ping","nonce":1}']])
def test_the_environment_says_how_long_a_launcher_has_to_answer(launcher: Launcher, command: list[str]) -> None:
    os.kill(launcher.pid, signal.SIGSTOP)
    done = run(*command, endpoint=launcher.endpoint, QUARTERDECK_ANSWER_WITHIN="0.2")
    os.kill(launcher.pid, signal.SIGCONT)
    assert (done.returncode, done.stdout) == (6, "")
    assert "within 0.2 s" in done.stderr


@pytest.mark.parametrize("said", ["soon", "0", "-1", "inf", "nan"])
@pytest.mark.parametrize("command", [["ping"], ["up", "--config", "/nowhere"], ["ps"]])
def test_a_wrong_number_of_seconds_is_named(command: list[str], said: str) -> None:
    done = run(*command, QUARTERDECK_ANSWER_WITHIN=said)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"quarterdeck: QUARTERDECK_ANSWER_WITHIN is {said!r}: it must be a number of seconds above 0\n"
    )
