"""Section 9: where a launcher listens, that it is the only one, and whom it believes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

from quarterdeck.conformance.rules import Breach, NotApplicable
from quarterdeck.conformance.server.book import FRESH, OWN, Book, with_settings
from quarterdeck.conformance.server.launchers import OwnLauncher
from quarterdeck.conformance.server.stage import Stage, own_pid, unix_only
from quarterdeck.conformance.server.talker import registering

RULES: Final = Book()

ALREADY_RUNNING: Final = 3
NOBODY: Final = 65_534
START_S: Final = 20.0
_STRANGER: Final = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
launcher = socket.socket(socket.AF_UNIX)
launcher.connect(sys.argv[1])
print(launcher.makefile().read(), end="")
"""


@RULES.check("9", OWN)
def address(stage: Stage) -> None:
    """The address is `<runtime dir>/quarterdeck/<hash16>.sock`, of the data folder's real path."""
    if sys.platform == "win32":
        raise unix_only()
    digest = 0xCBF29CE484222325
    for byte in os.path.realpath(stage.own.data_dir).rstrip("/").encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    wanted = Path(stage.own.environ["XDG_RUNTIME_DIR"]) / "quarterdeck" / f"{digest:016x}.sock"
    if not wanted.is_socket():
        raise Breach(f"a socket at {wanted}", ", ".join(map(str, wanted.parent.iterdir())) or "no file there")


@RULES.check("9")
def modes(stage: Stage) -> None:
    """The socket is 0600, its folder a real folder, ours, 0700."""
    if sys.platform == "win32":
        raise unix_only()
    found, folder = os.lstat(stage.endpoint), os.lstat(os.path.dirname(stage.endpoint))
    if stat.S_IMODE(found.st_mode) != 0o600 or found.st_uid != os.geteuid():
        raise Breach("a socket of our own, 0600", f"mode {stat.S_IMODE(found.st_mode):04o}, uid {found.st_uid}")
    if not stat.S_ISDIR(folder.st_mode) or folder.st_mode & 0o777 != 0o700 or folder.st_uid != os.geteuid():
        raise Breach("a folder of our own, 0700", f"mode {folder.st_mode & 0o777:04o}, uid {folder.st_uid}")


@RULES.check("9", FRESH)
def unsafe_folder(stage: Stage) -> None:
    """A folder for the socket that is open to others, or a link, is refused."""
    if sys.platform == "win32":
        raise unix_only()
    own = stage.own
    own.signal(signal.SIGTERM)
    own.wait()
    folder = Path(own.endpoint).parent
    folder.chmod(0o755)
    _does_not_start(own, "a folder of mode 0755")
    elsewhere = own.folder / "elsewhere"
    folder.chmod(0o700)
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    _does_not_start(own, "a link in place of the folder")


@RULES.check("9", OWN)
def single_instance(stage: Stage) -> None:
    """A second launcher fails at once and names the first one's pid; the first is not touched."""
    talker = stage.quiet()
    done = _start_another(stage.own)
    if done.returncode != ALREADY_RUNNING or str(stage.own.pid) not in done.stderr:
        raise Breach(f"exit code {ALREADY_RUNNING} and pid {stage.own.pid}", f"{done.returncode}: {done.stderr}")
    talker.ping()
    stage.quiet().ping()


@RULES.check("9", OWN)
def locks(stage: Stage) -> None:
    """Two locks are held, `launcher.lock` in the data folder and the socket's path with `.lock`; each names its
    holder.
    """
    if sys.platform == "win32":
        raise unix_only()
    import fcntl

    for path in (stage.own.data_dir / "launcher.lock", Path(f"{stage.endpoint}.lock")):
        text = path.read_text()
        if str(stage.own.pid) not in text or stage.endpoint not in text:
            raise Breach(f"pid {stage.own.pid} and the endpoint in {path.name}", text)
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            raise Breach(f"a lock on {path}", "none")


@RULES.check("9", FRESH)
def clean_exit(stage: Stage) -> None:
    """A clean exit removes the socket, never the lock files."""
    if sys.platform == "win32":
        raise unix_only()
    stage.own.signal(signal.SIGTERM)
    stage.own.wait()
    if os.path.lexists(stage.endpoint):
        raise Breach("no socket after the exit", stage.endpoint)
    for path in (stage.own.data_dir / "launcher.lock", Path(f"{stage.endpoint}.lock")):
        if not path.exists():
            raise Breach(f"{path} still there", "it is gone")


@RULES.check("9", FRESH)
def stale_socket(stage: Stage) -> None:
    """The socket that a crash left is removed by the next launcher, whose run is another one."""
    if sys.platform == "win32":
        raise unix_only()
    run = stage.quiet().registered["run_id"]
    stage.own.signal(signal.SIGKILL)
    stage.own.wait()
    if not os.path.lexists(stage.endpoint):
        raise Breach("a socket that stays after a crash", "none")
    stage.own.start()
    if stage.quiet().registered["run_id"] == run:
        raise Breach("another run_id", run)


@RULES.check("9")
def own_process(stage: Stage) -> None:
    """The connected process's own pid is believed."""
    stage.join(pid=own_pid()).ping()


@RULES.check("9")
def descendant(stage: Stage) -> None:
    """The pid of a descendant of the connected process is believed."""
    stage.join(pid=stage.pid()).ping()


@RULES.check("9")
def pid_mismatch(stage: Stage) -> None:
    """A claimed pid that is neither the connected process nor its descendant is `pid_mismatch`, fatal."""
    for pid in (os.getppid(), 2**32 - 1):
        talker = stage.connect()
        talker.send({**registering(pid), "id": "r"})
        answer = talker.until(id="r")[-1]
        if answer["event"] == "registered" and not stage.is_alone:
            talker.goodbye()
            raise NotApplicable("it believes every pid (pid_check=off, or a system that does not tell)")
        if (answer.get("code"), answer.get("fatal")) != ("pid_mismatch", True):
            raise Breach("`pid_mismatch`, fatal", str(answer))
        talker.expect_end()


@RULES.check("9", with_settings("roles=proven"))
def proven_roles(stage: Stage) -> None:
    """`roles=proven`: a host that is not the launcher's own child is `forbidden`, fatal."""
    talker = stage.connect()
    talker.refused(registering(stage.pid(), "host"), "forbidden", fatal=True)
    talker.expect_end()
    stage.quiet("srv").ping()


@RULES.check("9", OWN)
def proven_needs_pids(stage: Stage) -> None:
    """`roles=proven` together with `pid_check=off` is a configuration error."""
    command = [*stage.own.command(), "--set", "roles=proven", "--set", "pid_check=off"]
    done = subprocess.run(command, env=stage.own.environ, capture_output=True, text=True, timeout=START_S, check=False)
    if done.returncode == 0 or "pid_check" not in done.stderr:
        raise Breach("an exit with an error that names `pid_check`", f"{done.returncode}: {done.stderr}")


@RULES.check("9", FRESH)
def another_user(stage: Stage) -> None:
    """The peer's user must be the launcher's own: another is told `permission_denied`, fatal, whatever modes are."""
    if sys.platform == "win32":
        raise unix_only()
    if os.geteuid() != 0:
        raise NotApplicable("only root can become another user")
    watcher = stage.join()
    for folder in (stage.own.folder, Path(stage.endpoint).parent.parent, Path(stage.endpoint).parent):
        folder.chmod(0o711)  # what keeps others out is taken away, so that the launcher has to
    os.chmod(stage.endpoint, 0o666)
    command = [sys.executable, "-I", "-S", "-c", _STRANGER, stage.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=stage.patience_s, check=False)
    if '"permission_denied"' not in done.stdout or '"fatal":true' not in done.stdout or done.stdout.count("\n") != 1:
        raise Breach("one line, `permission_denied`, fatal", done.stdout or done.stderr)
    if watcher.ping():
        raise Breach("nothing told of him", "something was told")


def _start_another(own: OwnLauncher) -> subprocess.CompletedProcess[str]:
    return subprocess.run(own.command(), env=own.environ, capture_output=True, text=True, timeout=START_S, check=False)


def _does_not_start(own: OwnLauncher, where: str) -> None:
    try:
        done = _start_another(own)
    except subprocess.TimeoutExpired:
        raise Breach(f"a refusal to start on {where}", "it serves") from None
    if done.returncode == 0 or not done.stderr:
        raise Breach(f"an exit with an error on {where}", f"exit code {done.returncode}")
