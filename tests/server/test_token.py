"""The data folder's token: made once, for this user only, and not believed where others could have had a hand in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quarterdeck.errors import ConfigError
from quarterdeck.server.token import token_of

GOOD = "a-token-of-some-length"


def test_it_is_made_once_and_only_this_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    before = os.umask(0)
    try:
        token = token_of(path)
    finally:
        os.umask(before)
    assert len(token) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert token_of(path) == token
    assert token_of(tmp_path / "other") != token


def test_one_of_the_users_own_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"  {GOOD}\n\n")
    path.chmod(0o400)
    assert token_of(path) == GOOD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_one_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(GOOD)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"others may read or write it.*{mode:04o}.*; remove it"):
        token_of(path)


def test_a_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text(GOOD)
    real.chmod(0o600)
    for target in (real, tmp_path / "nowhere", Path("/etc/hostname")):
        link = tmp_path / "token"
        link.symlink_to(target)
        with pytest.raises(ConfigError, match=r"token: it cannot be read"):
            token_of(link)
        link.unlink()
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_or_a_pipe_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="it is no plain file"):
        token_of(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="it is no plain file"):
        token_of(tmp_path / "pipe")


@pytest.mark.parametrize("text", ["", "\n", "short", "x" * 600, "with\0nothing-in-the-middle", "ä" * 20])
def test_one_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="expected a token of 16 to 512 plain characters"):
        token_of(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_one_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(GOOD)
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match=r"it belongs to uid 65534, not to 0"):
        token_of(path)


def test_where_it_cannot_be_made_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token: it cannot be made: No such file"):
        token_of(tmp_path / "missing" / "token")
