"""install-unit: what it writes and says, and that systemd itself finds nothing wrong with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.ui.running import COMMAND, PATIENCE_S, environ

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and os.environ.get("CI") != "true", reason="systemd is not installed"
)

DECK = '[process.a]\ncommand = ["sleep", "10000"]\nready = "running"\n'


class Application:
    """A folder with a quarterdeck.toml, and a home folder for units."""

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name
        self.folder.mkdir()
        self.write(DECK)
        self.units = root / "config" / "systemd" / "user"
        self._environ = environ(XDG_CONFIG_HOME=str(root / "config"), XDG_RUNTIME_DIR=str(root))

    def write(self, deck: str) -> None:
        (self.folder / "quarterdeck.toml").write_text(deck)

    def install(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run(*COMMAND, "install-unit", *args)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )


@pytest.fixture
def app(tmp_path: Path) -> Application:
    return Application(tmp_path, "my shop")


def test_it_writes_a_unit_and_says_what_comes_next(app: Application) -> None:
    done = app.install()
    path = app.units / "quarterdeck-my-shop.service"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{path} is written",
        "next: systemctl --user daemon-reload",
        "      systemctl --user enable --now quarterdeck-my-shop.service",
        "      loginctl enable-linger, so that it runs when you are not logged in, too",
        "to see how it fares: systemctl --user status quarterdeck-my-shop.service",
    ]
    text = path.read_text()
    assert f'ExecStart="{sys.executable}" -P -m quarterdeck serve --config "{app.folder}/quarterdeck.toml"\n' in text
    assert f"WorkingDirectory={app.folder}\n" in text


def test_it_overwrites_nothing_unless_told_to(app: Application) -> None:
    assert app.install("--name", "shop", "--socket").returncode == 0
    (app.units / "shop.service").unlink()
    (app.units / "shop.socket").write_text("mine")
    done = app.install("--name", "shop", "--socket")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"quarterdeck: {app.units}/shop.socket is there already; ")
    assert os.listdir(app.units) == ["shop.socket"]
    assert app.install("--name", "shop", "--socket", "--force").returncode == 0
    assert (app.units / "shop.socket").read_text() != "mine"


def test_it_prints_and_writes_nothing(app: Application) -> None:
    done = app.install("--print", "--system", "--socket", "--name", "shop")
    assert done.returncode == 0
    assert "# /etc/systemd/system/shop.service\n" in done.stdout
    assert "ListenStream=/run/shop/launcher.sock\n" in done.stdout
    assert not app.units.exists()
    assert not Path("/etc/systemd/system/shop.service").exists()


def test_a_user_s_socket_is_where_clients_look(app: Application) -> None:
    printed = app.install("--print", "--socket").stdout
    endpoint = app.run(*COMMAND, "endpoint").stdout.strip()
    assert f"ListenStream=%t/quarterdeck/{os.path.basename(endpoint)}\n" in printed
    assert os.path.dirname(endpoint) == os.path.join(os.path.dirname(app.folder), "quarterdeck")


def test_processes_that_are_adopted_outlive_the_service_s_restart(app: Application) -> None:
    app.write('[quarterdeck]\non_launcher_death = "adopt"\n' + DECK)
    assert "KillMode=process\n" in app.install("--print").stdout


@pytest.mark.parametrize("named", ["a", "host"])
def test_the_stop_of_the_process_that_it_is_there_for_is_no_failure(app: Application, named: str) -> None:
    assert "SuccessExitStatus" not in app.install("--print").stdout
    app.write(f'[quarterdeck]\nexit_from = "{named}"\n{DECK}kind = "host"\n')
    assert "\nSuccessExitStatus=143\nRestart=on-failure\n" in app.install("--print").stdout
    app.write(f'[quarterdeck]\nexit_from = "{named}"\n{DECK}kind = "host"\nstop_signal = "SIGINT"\n')
    assert "\nSuccessExitStatus=130\n" in app.install("--print").stdout


def test_a_wrong_file_gets_no_unit(app: Application) -> None:
    app.write("[process.a]\ncommand = 7\n")
    done = app.install()
    assert (done.returncode, done.stdout) == (2, "")
    assert "process.a.command" in done.stderr
    assert not app.units.exists()


def test_a_folder_that_is_not_ours_to_write_is_said_with_what_to_do(app: Application) -> None:
    config = app.units.parents[1]
    config.mkdir(mode=0o500)
    # Root may write anywhere by a capability, which it does without here; setpriv(1).
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    done = app.run(*without, *COMMAND, "install-unit")
    assert (done.returncode, done.stdout) == (1, "")
    assert "do it as root (sudo), or for yourself (--user)" in done.stderr
    assert list(config.iterdir()) == []


@needs_systemd
@pytest.mark.parametrize(("folder", "beside"), [("shop", "bin"), ('we ird %h "q" $x \\ é\'', "Program %h $x é")])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, folder: str, beside: str) -> None:
    app = Application(tmp_path, folder)
    python = tmp_path / beside / "python"  # systemd looks whether it is there, so it must have read the path as meant
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    packages = sysconfig.get_path("purelib")
    done = app.run(str(python), "-c", PRETENDS, packages, "install-unit", "--socket", "--name", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    units = [app.units / "shop.service", app.units / "shop.socket"]
    assert f"{beside.replace('%', '%%')}/python" in units[0].read_text()
    verified = app.run("systemd-analyze", "verify", "--user", *map(str, units))
    assert verified.returncode == 0, verified.stderr
    assert "shop" not in verified.stdout + verified.stderr  # not even a warning


PRETENDS = """
import site, sys
site.addsitedir(sys.argv[1])
from quarterdeck.ui.cli import main
sys.exit(main(sys.argv[2:]))
"""
