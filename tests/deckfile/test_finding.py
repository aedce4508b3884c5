"""Finding quarterdeck.toml here or above."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quarterdeck.deckfile import find_deckfile
from quarterdeck.errors import ConfigError


def test_the_nearest_one_above_is_found(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    outer = tmp_path / "quarterdeck.toml"
    outer.touch()
    assert find_deckfile(below) == outer
    inner = tmp_path / "a" / "quarterdeck.toml"
    inner.touch()
    assert find_deckfile(below) == inner
    assert find_deckfile(tmp_path / "a") == inner
    assert find_deckfile(tmp_path) == outer


def test_a_folder_of_that_name_is_none(tmp_path: Path) -> None:
    (tmp_path / "a" / "quarterdeck.toml").mkdir(parents=True)
    (tmp_path / "quarterdeck.toml").touch()
    assert find_deckfile(tmp_path / "a") == tmp_path / "quarterdeck.toml"


def test_where_there_is_none_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quarterdeck init.*--config FILE") as caught:
        find_deckfile(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_stranger_s_above_is_refused_and_here_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "quarterdeck.toml"
    path.touch()
    os.chown(path, 12_345, -1)
    with pytest.raises(ConfigError, match=f"another user.*--config {path}"):
        find_deckfile(tmp_path / "a")
    assert find_deckfile(tmp_path) == path
    tmp_path.chmod(0o1777)  # as /tmp is: whoever is there need not have chosen to be at the stranger's
    with pytest.raises(ConfigError, match=f"another user.*--config {path}"):
        find_deckfile(tmp_path)
