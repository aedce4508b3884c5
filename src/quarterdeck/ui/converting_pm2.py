"""Converting a pm2 ecosystem file: its `apps` to drafts.

pm2 starts again whatever ends, and stops with SIGINT; so do the drafts. What has no counterpart becomes a note.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quarterdeck.errors import ConfigError
from quarterdeck.ui.drafting import Draft, Found, folder_keys, read_source

NODE_TIMEOUT_S: Final = 30.0
NODE_PROGRAM: Final = (
    "console.log = console.info = console.error;"
    "const read = require(require('path').resolve(process.argv[1]));"
    "process.stdout.write(JSON.stringify(read.default || read));"
)
INTERPRETERS: Final = {
    ".js": "node", ".cjs": "node", ".mjs": "node", ".py": "python3", ".sh": "bash", ".rb": "ruby", ".pl": "perl",
    ".php": "php",
}  # fmt: skip
KEYS: Final = (
    "name",
    "script",
    "args",
    "interpreter",
    "interpreter_args",
    "node_args",
    "cwd",
    "env",
    "instances",
    "max_memory_restart",
    "autorestart",
    "kill_timeout",
    "max_restarts",
    "min_uptime",
)


def pm2_drafts(source: Path, target: Path) -> Found:
    """The `apps` of an ecosystem file: JSON, or JavaScript that node runs."""
    content = read_source(source)
    try:
        read = json.loads(content if source.suffix == ".json" else _run_by_node(source))
    except ValueError as error:
        raise ConfigError(f"{source}: expected JSON: {error}") from None
    apps = read.get("apps", [read]) if isinstance(read, dict) else read
    if not isinstance(apps, list) or not all(isinstance(app, dict) for app in apps):
        raise ConfigError(f"{source}: apps: expected a list of objects")
    rest = [f"{key} is not converted." for key in read if key != "apps"] if "apps" in read else []
    return [_app_draft(source, target, number, app) for number, app in enumerate(apps)], rest


def _run_by_node(source: Path) -> str:
    node = shutil.which("node")
    if node is None:
        raise ConfigError(f"{source}: is JavaScript, and node is not installed to read it; write it as .json")
    try:
        done = subprocess.run(
            [node, "-e", NODE_PROGRAM, str(source)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=NODE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{source}: node has not read it in {NODE_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if re.match(r"\w*Error\b", line)]
        raise ConfigError(f"{source}: node could not read it: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout


def _app_draft(source: Path, target: Path, number: int, app: Mapping[str, Any]) -> Draft:
    path = f"apps[{number}]"
    notes: list[str] = []
    script = app.get("script")
    if not isinstance(script, str) or not script.strip():
        raise ConfigError(f"{source}: {path}.script: expected a text, found {json.dumps(script)}")
    folder = source.absolute().parent / os.path.expanduser(str(app.get("cwd", ".")))
    keys: dict[str, Any] = {"command": _app_command(source, path, app, script, folder)}
    keys |= folder_keys(folder, target, notes)
    if isinstance(app.get("env"), dict):
        keys["env"] = {name: _plain(value) for name, value in app["env"].items() if value is not None}
    keys |= _app_supervision(source, path, app, notes)
    notes += [f"{key} has no counterpart." for key in app if key not in KEYS]
    return Draft(str(app.get("name") or Path(script).stem), keys, notes)


def _app_command(source: Path, path: str, app: Mapping[str, Any], script: str, folder: Path) -> list[str]:
    interpreter = app.get("interpreter") or INTERPRETERS.get(Path(script).suffix, "none")
    args = _words(source, f"{path}.args", app.get("args"))
    if interpreter != "none":
        options = _words(source, f"{path}.interpreter_args", app.get("interpreter_args") or app.get("node_args"))
        return [str(interpreter), *options, script, *args]
    if os.path.dirname(script) == "" and (folder / script).is_file():
        return [f"./{script}", *args]
    return [*_words(source, f"{path}.script", script), *args]


def _app_supervision(source: Path, path: str, app: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "restart": "never" if app.get("autorestart") is False else "always",
        "stop_signal": "SIGINT",
    }
    instances = _instances(source, path, app.get("instances", 1), notes)
    if instances > 1:
        keys["replicas"] = instances
    if isinstance(app.get("max_memory_restart"), int | str):
        keys["memory_max"] = app["max_memory_restart"]
        notes.append("memory_max is a limit that the system keeps, where pm2 looks now and then.")
    for key, ours in (("kill_timeout", "stop_grace_s"), ("min_uptime", "stable_s")):
        if isinstance(app.get(key), int | float):
            keys[ours] = app[key] / 1000
    if isinstance(app.get("max_restarts"), int):
        keys["restarts_max"] = app["max_restarts"]
    return keys


def _instances(source: Path, path: str, value: Any, notes: list[str]) -> int:
    """How many: a number, or one that goes by the processors (`max`, 0, or so many fewer: -1)."""
    number = 0 if value == "max" else value
    if isinstance(number, str) and re.fullmatch(r"-?\d{1,4}", number):
        number = int(number)
    if not isinstance(number, int):
        raise ConfigError(f"{source}: {path}.instances: expected a number or max, found {json.dumps(value)}")
    if number > 0:
        return number
    notes.append(f"instances was {value}, which goes by the processors; this is how many there were.")
    return max(1, (os.cpu_count() or 1) + number)


def _words(source: Path, path: str, value: Any) -> list[str]:
    if value is None:
        return []
    try:
        return shlex.split(value) if isinstance(value, str) else [_plain(each) for each in value]
    except (ValueError, TypeError):
        raise ConfigError(f"{source}: {path}: expected a text or a list of texts, found {json.dumps(value)}") from None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
