"""The folders of the socket and of the data: real ones, with real owners and modes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from quarterdeck.errors import EndpointDenied, EndpointRefused
from quarterdeck.transport.folders import check_closed, prepare_data_dir, prepare_folder

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


# -- The socket's folder


def test_folder_is_created_0700_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare_folder(tmp_path / "quarterdeck")
        prepare_folder(tmp_path / "quarterdeck")  # and is fine the second time
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "quarterdeck").stat().st_mode) == 0o700


def test_folder_that_inherits_set_group_id_is_ours_all_the_same(tmp_path: Path) -> None:
    tmp_path.chmod(0o2700)
    prepare_folder(tmp_path / "quarterdeck")


def test_symlinked_folder_is_refused_even_if_it_leads_to_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir(mode=0o700)
    (tmp_path / "quarterdeck").symlink_to("good")
    with pytest.raises(EndpointRefused, match=r"quarterdeck is a symbolic link"):
        prepare_folder(tmp_path / "quarterdeck")


def test_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck").touch(mode=0o700)
    with pytest.raises(EndpointRefused, match="not a folder"):
        prepare_folder(tmp_path / "quarterdeck")


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o777, 0o500])
def test_folder_of_another_mode_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "quarterdeck"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(EndpointRefused, match=rf"mode {mode:04o}.*chmod 700 {folder}"):
        prepare_folder(folder)
    folder.chmod(0o700)
    prepare_folder(folder)


@as_root
def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "quarterdeck"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(EndpointRefused, match=rf"{folder} belongs to uid {NOBODY}"):
        prepare_folder(folder)


def test_fallback_folder_is_checked_on_both_levels(tmp_path: Path) -> None:
    outer = tmp_path / f"quarterdeck-{os.geteuid()}"
    prepare_folder(outer / "quarterdeck")
    assert stat.S_IMODE(outer.stat().st_mode) == 0o700
    outer.chmod(0o755)
    with pytest.raises(EndpointRefused, match=rf"chmod 700 {outer}$"):
        prepare_folder(outer / "quarterdeck")
    shutil.rmtree(outer)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    outer.symlink_to("elsewhere")
    with pytest.raises(EndpointRefused, match="symbolic link"):
        prepare_folder(outer / "quarterdeck")


def test_folder_without_parent_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EndpointRefused, match=r"missing/quarterdeck: No such file"):
        prepare_folder(tmp_path / "missing" / "quarterdeck")


# -- The data folder


def test_data_folder_and_its_missing_parents_are_created_0700_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare_data_dir(tmp_path / "a" / "b")
        prepare_data_dir(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700] * 2


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o2755])
def test_data_folder_may_be_read_by_whom_the_user_likes(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    prepare_data_dir(tmp_path)


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o1777, 0o722])
def test_data_folder_that_others_may_write_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(
        EndpointRefused, match=rf"others may write in the folder {folder} \(mode {mode:04o}\).*chmod go-w"
    ):
        prepare_data_dir(folder)
    folder.chmod(mode & ~0o022)
    prepare_data_dir(folder)


@as_root
def test_group_that_may_write_the_data_folder_must_be_root_s_or_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, 0, 0)
    prepare_data_dir(folder)
    os.chown(folder, 0, NOBODY)
    with pytest.raises(EndpointRefused, match="others may write"):
        prepare_data_dir(folder)


@as_root
def test_data_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(EndpointDenied, match=rf"{tmp_path} belongs to uid {NOBODY}, and you are uid 0"):
        prepare_data_dir(tmp_path)


def test_data_folder_may_be_reached_by_a_link_of_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    prepare_data_dir(tmp_path / "link")
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(EndpointRefused, match="others may write"):
        prepare_data_dir(tmp_path / "link")


def test_file_in_the_data_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(EndpointRefused, match=r"data: File exists"):
        prepare_data_dir(tmp_path / "data")
    with pytest.raises(EndpointRefused, match=r"data is not a folder"):
        check_closed(tmp_path / "data")


# -- The way there


Prepare = Callable[[Path], None]
PREPARE: list[Prepare] = [prepare_folder, prepare_data_dir]
each_folder = pytest.mark.parametrize("prepare", PREPARE)


@each_folder
def test_folder_below_one_that_everybody_may_write_is_refused_unless_that_is_sticky(
    tmp_path: Path, prepare: Prepare
) -> None:
    shared = tmp_path / "shared"
    (shared / "mine").mkdir(parents=True, mode=0o700)
    shared.chmod(0o777)
    with pytest.raises(EndpointRefused, match=rf"everybody may write in the folder {shared} \(mode 0777\)"):
        prepare(shared / "mine")
    shared.chmod(0o1777)
    prepare(shared / "mine")


@each_folder
def test_every_folder_above_counts(tmp_path: Path, prepare: Prepare) -> None:
    deep = tmp_path / "open" / "closed" / "mine"
    deep.mkdir(parents=True, mode=0o700)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(EndpointRefused, match=rf"could exchange {tmp_path}/open/closed"):
        prepare(deep)


@each_folder
def test_links_on_the_way_are_followed_as_the_kernel_does(tmp_path: Path, prepare: Prepare) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "home" / "mine").mkdir(parents=True, mode=0o700)
    (tmp_path / "open" / "by").symlink_to("../home")
    (tmp_path / "link").symlink_to(tmp_path / "open" / "by")
    prepare(tmp_path / "link" / "mine")
    (tmp_path / "open").chmod(0o777)  # the folder of the second link, which no name on the way tells
    with pytest.raises(EndpointRefused, match=rf"could exchange {tmp_path}/open/by"):
        prepare(tmp_path / "link" / "mine")


@as_root
@each_folder
def test_what_a_stranger_put_into_a_shared_folder_is_not_gone_through(tmp_path: Path, prepare: Prepare) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "home" / "mine").mkdir(parents=True, mode=0o700)
    (shared / "link").symlink_to(tmp_path / "home")
    prepare(shared / "link" / "mine")
    os.chown(shared / "link", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(EndpointDenied, match=rf"{shared}/link belongs to uid {NOBODY}"):
        prepare(shared / "link" / "mine")
    (shared / "theirs" / "mine").mkdir(parents=True, mode=0o700)
    os.chown(shared / "theirs", NOBODY, NOBODY)
    with pytest.raises(EndpointDenied, match=rf"{shared}/theirs belongs to uid {NOBODY}"):
        prepare(shared / "theirs" / "mine")


@each_folder
def test_links_in_a_circle_are_refused(tmp_path: Path, prepare: Prepare) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(EndpointRefused, match=rf"{tmp_path}/a/mine: (Too many levels|File exists)"):
        prepare(tmp_path / "a" / "mine")


def test_where_others_are_let_in_on_purpose_only_what_is_made_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    prepare_data_dir(tmp_path, checks=False)
    prepare_data_dir(tmp_path / "data", checks=False)
    prepare_folder(tmp_path / "run", checks_way=False)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("data", "run")] == [0o700] * 2
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(EndpointRefused, match="must be 0700"):
        prepare_folder(tmp_path / "run", checks_way=False)
