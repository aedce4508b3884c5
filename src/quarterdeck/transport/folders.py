"""Folders that hold what is ours: made so that nobody else can change what lies in them, or refused.

Rules:
- A file is found by its name, so a name is worth as much as every folder on the way to it. Where nobody else can
  write, nobody can put another file in the place of the one that was looked at: look first, then use, and no race.
- The socket's folder is a real folder, ours, 0700. The data folder may be read by whom the user likes (each file in it
  is 0600), and reached by a symbolic link, but only we may write there: we, root, and a group of ours alone.
- On the way there, a folder that everybody may write is a shared one: it must be sticky (as /tmp is), and what lies in
  it ours or root's. Whose the other folders are is the choice of whoever works below them.
- Where others are let in on purpose (`folder_check=off`), only what we make ourselves is closed.
- Windows guards a user's folders by access lists that their content inherits: there nothing is asked.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from quarterdeck.errors import EndpointDenied, EndpointRefused, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINKS_MAX = 40  # as many as Linux follows; path_resolution(7)
_ROOT = 0
_OR_ALONE = " (in a container whose only user you are: --set folder_check=off)"


def refusal(what: str, error: OSError) -> EndpointRefused:
    """The error for what the system refused: `EndpointDenied` where that is for who we are."""
    kind = EndpointDenied if isinstance(error, PermissionError) else EndpointRefused
    return kind(f"{what}: {error.strerror}")


def prepare_folder(path: str | os.PathLike[str], *, checks_way: bool = True) -> None:
    """Create the folder that will hold the socket, 0700, or check the one that is there, and the way to it.

    Raises EndpointRefused, naming the folder, what is wrong and how to mend it, unless it is a real folder, ours, and
    closed to others. Of the fallback in `/tmp` both levels are checked: everybody may create names in `/tmp`.
    """
    folder = os.fspath(path)
    parent = os.path.dirname(folder)
    if os.path.basename(parent) == f"quarterdeck-{own_uid()}":
        _prepare_level(parent)
    _prepare_level(folder)
    if checks_way:
        _check_way(folder)


def prepare_data_dir(path: str | os.PathLike[str], *, checks: bool = True) -> None:
    """Create the data folder and its missing parents, 0700, or check that nobody else may write in the one there is.

    Raises EndpointRefused, naming the folder, what is wrong and how to mend it.
    """
    folder = os.fspath(path)
    try:
        if checks and os.path.lexists(folder):
            _check_way(folder)
        if not os.path.isdir(folder):
            _make_private(os.path.abspath(folder))
        if checks:
            _check_way(folder)
            check_closed(folder)
    except OSError as error:
        raise refusal(f"cannot create the data folder {folder}", error) from error


def check_closed(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that is another user's, or that others may write. Raises EndpointRefused, OSError."""
    if sys.platform == "win32":
        return
    found = os.stat(folder)
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        raise EndpointRefused(f"{folder} is not a folder; move it away")
    if found.st_uid not in (own_uid(), _ROOT):
        raise EndpointDenied(
            f"the folder {folder} belongs to uid {found.st_uid}, and you are uid {own_uid()}; "
            "take one of your own (--data-dir FOLDER), or make it yours (chown)"
        )
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_ours_alone(found.st_gid)):
        raise EndpointRefused(
            f"others may write in the folder {folder} (mode {mode:04o}), and could exchange what lies there; "
            f"run: chmod go-w {folder}{_OR_ALONE}"
        )


def own_uid() -> int:
    """The effective user, which is what the kernel tells the other end. Raises Unsupported on Windows."""
    if sys.platform == "win32":
        raise Unsupported("Windows has no user numbers: its pipes are guarded by access lists")
    return os.geteuid()


def _prepare_level(folder: str) -> None:
    # Look only after creating: what somebody else put there before us, or between, then fails the checks.
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise refusal(f"cannot create the folder {folder}", error) from error
    found = os.lstat(folder)
    uid = own_uid()
    mode = found.st_mode & 0o777  # without set-group-id, which a new folder inherits from its parent
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a folder"
        raise EndpointRefused(f"{folder} is {what}, and must be a folder of your own; remove it: rm {folder}")
    if found.st_uid != uid:
        raise EndpointDenied(
            f"the folder {folder} belongs to uid {found.st_uid}, and you are uid {uid}; "
            "remove it or set QUARTERDECK_ENDPOINT to a path in a folder of your own"
        )
    if mode != 0o700:
        raise EndpointRefused(f"the folder {folder} has mode {mode:04o}, and must be 0700; run: chmod 700 {folder}")


def _make_private(folder: str) -> None:
    """Create a folder and its missing parents, all 0700 (as the XDG Base Directory Specification asks)."""
    parent = os.path.dirname(folder)
    if parent != folder and not os.path.isdir(parent):
        _make_private(parent)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if not os.path.isdir(folder):  # another launcher may create it at the same moment
            raise


def _check_way(folder: str) -> None:
    """Refuse a way on which a stranger could lead us elsewhere. Raises EndpointRefused."""
    if sys.platform == "win32":
        return
    trusted = (own_uid(), _ROOT)
    try:
        way = list(_way_to(os.path.abspath(folder)))
    except OSError as error:
        raise refusal(f"cannot find the way to {folder}", error) from error
    for place, found in way:
        above = os.path.dirname(place)
        around = os.lstat(above)
        if place == above or not around.st_mode & stat.S_IWOTH:
            continue
        if not around.st_mode & stat.S_ISVTX:
            raise EndpointRefused(
                f"everybody may write in the folder {above} (mode {stat.S_IMODE(around.st_mode):04o}), and could "
                f"exchange {place}; run: chmod o-w {above}{_OR_ALONE}"
            )
        if found.st_uid not in trusted:
            raise EndpointDenied(
                f"{place} belongs to uid {found.st_uid}, and lies in the folder {above} where everybody may make one; "
                "choose a folder of your own"
            )


def _way_to(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every folder and symbolic link that an absolute path leads through, in the order in which the kernel does."""
    here = "/"
    links = 0
    rest = folder.split("/")[::-1]
    while rest:
        name = rest.pop()
        if name == "..":
            here = os.path.dirname(here)
        elif name not in ("", "."):
            place = os.path.join(here, name)
            found = os.lstat(place)
            yield place, found
            if not stat.S_ISLNK(found.st_mode):
                here = place
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(place)
            here = "/" if target.startswith("/") else here
            rest += target.split("/")[::-1]


def _is_ours_alone(gid: int) -> bool:
    """Whether a group is root's, or this user's own with nobody else in it, as many systems make one for each user."""
    if sys.platform == "win32":
        return True
    import grp
    import pwd

    if gid == _ROOT:
        return True
    try:
        user, group = pwd.getpwuid(own_uid()), grp.getgrgid(gid)
    except KeyError:  # neither is known here: in a container, for one
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}
