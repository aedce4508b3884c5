"""Another user of the machine gets nothing: a real second uid against a launcher at work (SECURITY.md)."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.launched import Launched, short_folder
from tests.server.raw import DEADLINE_S
from tests.server.test_scrapes import free_port

NOBODY = 65534
STRANGER = Path(__file__).with_name("stranger.py")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

DECK = """
[quarterdeck]
on_launcher_death = "adopt"
[process.web]
command = ["sh", "-c", "echo the secret of web; exec sleep 100000"]
ready = { log = "secret" }
"""


class Machine:
    """A launcher at work in a folder that everybody may look into, as a project in a home folder is."""

    def __init__(self, data_mode: int, **settings: Any) -> None:
        self.folder = short_folder()
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.data.chmod(data_mode)
        self.run = self.folder / "run"
        self.run.mkdir(mode=0o700)
        deck = self.folder / "quarterdeck.toml"
        deck.write_text(DECK)
        self._options = ["--config", str(deck)]
        self._settings = {"pid_check": "off", **settings}
        self.launched = self.launch()

    def launch(self) -> Launched:
        """A launcher whose child is up. It was adopted, where there was one."""
        launched = Launched(self._settings, self.run, data_dir=self.data, options=self._options)
        launched.log.chmod(0o600)  # the test's own
        client = launched.quiet()
        client.eventually(lambda: client.snapshot()["children"][0]["state"] == "ready", "the child is ready")
        return launched

    def target(self) -> dict[str, Any]:
        """All that there is."""
        found: dict[str, Any] = {"files": [], "sockets": [], "folders": [str(self.data), str(self.run)], "pids": []}
        for top in (self.data, self.run):
            for path in top.rglob("*"):
                mode = path.lstat().st_mode
                member = "folders" if stat.S_ISDIR(mode) else "sockets" if stat.S_ISSOCK(mode) else "files"
                found[member].append(str(path))
        launcher = psutil.Process(self.launched.pid)
        found["pids"] = [process.pid for process in (launcher, *launcher.children(recursive=True))]
        return found


@contextmanager
def machine(data_mode: int = 0o700, **settings: Any) -> Iterator[Machine]:
    made = Machine(data_mode, **settings)
    try:
        yield made
    finally:
        made.launched.put_away()
        subprocess.run(["rm", "-rf", str(made.folder)], check=True)


def strange(target: dict[str, Any]) -> dict[str, Any]:
    """What another user could do."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(STRANGER), str(NOBODY)],
        input=json.dumps(target) + "\n",
        cwd="/",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def inodes(target: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    paths = [path for member in ("files", "sockets", "folders") for path in target[member]]
    return {path: (os.lstat(path).st_ino, os.lstat(path).st_mode, os.lstat(path).st_uid) for path in paths}


@pytest.mark.parametrize("data_mode", [0o700, 0o755], ids=["closed folder", "folder that all may read"])
def test_another_user_gets_nothing_of_a_launcher_at_work(data_mode: int) -> None:
    with machine(data_mode, metrics_port=free_port()) as at_work:
        target = at_work.target()
        names = {Path(path).name for member in ("files", "sockets") for path in target[member]}
        assert names >= {
            "journal.sqlite3",
            "journal.sqlite3-wal",
            "launcher.lock",
            "web.log",
            "s.sock",
            "s.sock.lock",
            "guard.sock",
        }
        assert len(target["pids"]) == 3, "launcher, guard and child"
        before = inodes(target)
        answer = strange(target)
        assert (answer["uid"], answer["done"]) == (NOBODY, [])
        assert answer["tried"] > 50
        assert inodes(target) == before
        assert [child["state"] for child in at_work.launched.quiet().snapshot()["children"]] == ["ready"]


def test_nothing_of_a_launcher_can_be_reached_but_by_its_files() -> None:
    with machine() as at_work:
        for pid in at_work.target()["pids"]:
            connections = psutil.Process(pid).net_connections(kind="all")
            names = [str(connection.laddr) for connection in connections]
            assert [name for name in names if name.startswith(("@", "\0"))] == []
            assert [connection for connection in connections if connection.family.name != "AF_UNIX"] == []


def test_another_user_does_not_get_in_where_the_modes_let_him() -> None:
    with machine() as at_work:
        at_work.run.chmod(0o711)
        Path(at_work.launched.address).chmod(0o666)
        watcher = at_work.launched.join()
        answer = strange({"files": [], "folders": [], "pids": [], "sockets": [at_work.launched.address]})
        assert answer["done"] == [f"connect {at_work.launched.address}"], "and is told permission_denied"
        assert watcher.ping() == []
        at_work.run.chmod(0o700)


def test_a_guard_that_waits_for_a_launcher_lets_no_other_user_be_one() -> None:
    with machine(0o755) as at_work:
        first = at_work.launched
        (child,) = first.quiet().snapshot()["children"]
        door = at_work.data / "guard.sock"
        door.chmod(0o666)
        first.end(signal.SIGKILL)
        first.put_away()
        answer = strange({"files": [], "folders": [], "pids": [], "sockets": [str(door)]})
        assert answer["done"] == [f"connect {door}"], "and is hung up on"
        at_work.launched = at_work.launch()
        assert at_work.launched.quiet().snapshot()["children"][0]["pid"] == child["pid"]
