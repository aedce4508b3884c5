"""Job program: what a child runs on Windows, as CreateProcessW takes it: a program, a command line, an environment.

CreateProcessW would look for a program in the launcher's folders and PATH, so we look in the child's. Nothing here
needs Windows.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Final

COMMAND_LINE_MAX: Final = 32766
"""Characters, the NUL not counted. Source: CreateProcessW."""
_PATHEXT: Final = ".COM;.EXE;.BAT;.CMD"


def command_line_of(argv: tuple[str, ...]) -> str:
    """Return the command line that a program of Microsoft's C runtime splits into `argv`. Raises ValueError."""
    line = subprocess.list2cmdline(argv)
    if "\0" in line:
        raise ValueError("a NUL in the command")
    if len(line) > COMMAND_LINE_MAX:
        raise ValueError(f"a command of {len(line)} characters; Windows takes {COMMAND_LINE_MAX}")
    return line


def find_program(argv: tuple[str, ...], cwd: str, env: Mapping[str, str]) -> str:
    """Return the path of the program to run. Raises ValueError, which says what is missing and where we looked."""
    if not argv or not argv[0]:
        raise ValueError("there is no command")
    if not os.path.isdir(cwd):
        raise ValueError(f"no such folder: {cwd}")
    variables = {name.upper(): value for name, value in env.items()}
    has_path = bool(os.path.dirname(argv[0]))
    folders = [""] if has_path else variables.get("PATH", "").split(os.pathsep)
    suffixes = tuple(variables.get("PATHEXT", _PATHEXT).lower().split(";"))
    # A script without a suffix often lies beside its .exe or .cmd, for other systems.
    endings = ("",) if argv[0].lower().endswith(suffixes) else (*suffixes, "")
    for folder in folders:
        for ending in endings:
            path = os.path.join(cwd, folder, argv[0] + ending)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                if path.lower().endswith((".bat", ".cmd")):
                    raise ValueError(f'{path} is a batch file, which needs an interpreter: ["cmd", "/c", …]')
                return path
    looked = "" if has_path else f" (looked in PATH {variables.get('PATH', '')})"
    raise ValueError(f"no such program: {argv[0]}{looked}")


def environment_block(env: Mapping[str, str]) -> str:
    """Return an environment as CreateProcessW takes it: sorted, each variable with a NUL, and a NUL at the end.

    Names that differ by case alone are one variable, and the last one counts. Raises ValueError for what cannot be one.
    """
    variables = {name.upper(): (name, value) for name, value in env.items()}
    for name, value in variables.values():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"not an environment variable: {name!r}")
    return (
        "".join(f"{name}={value}\0" for _, (name, value) in sorted(variables.items()))
        + ("" if variables else "\0")
        + "\0"
    )
