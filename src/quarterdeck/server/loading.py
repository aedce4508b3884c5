"""Loading: an application's own class, from the `module:NAME` that names it.

The module is looked for where Python looks, and then in `folder`, the application's own: behind all else, so that a
file there that is called like a module of ours, or of the standard library, takes nothing over. What is loaded runs in
the launcher, with all that the launcher may do.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from quarterdeck.errors import ConfigError

T = TypeVar("T")


def load(where: str, name: str, base: type[T], folder: Path) -> type[T]:
    """The class below `base` that `name`, a `module:NAME`, names; NAME may be dotted. `where` is who names it, for an
    error, such as `--slice`.

    Raises: ConfigError with what was expected and found.
    """
    module_name, colon, path = name.partition(":")
    if not (colon and _is_dotted(module_name) and _is_dotted(path)):
        raise ConfigError(f"{where}: expected module:NAME, such as app.counter:Counter, found {name!r}")
    module = _module(where, module_name, folder)
    found: object = module
    for part in path.split("."):
        if not hasattr(found, part):
            offers = ", ".join(_below(module, base)) or "none"
            what = f"{module_name} ({_file_of(module)}) has no {path}; of quarterdeck.{base.__name__} it has: {offers}"
            raise ConfigError(f"{where}: {what}")
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, base) and found is not base):
        what = f"a class below quarterdeck.{base.__name__}, found {_described(found)}"
        raise ConfigError(f"{where}: {name}: expected {what}")
    return found


def _module(where: str, name: str, folder: Path) -> ModuleType:
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)  # for good: what is loaded may import its neighbours later
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            what = f"there is no module {error.name}, neither installed nor in {place}"
            raise ConfigError(f"{where}: {what}") from error
        raise ConfigError(f"{where}: {_broke(name, error)}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: {_broke(name, error)}") from error


def _broke(name: str, error: BaseException) -> str:
    """What importing raised, and where: in the module's own files, not in the machinery of imports."""
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    if isinstance(error, SyntaxError):
        return f"module {name} cannot be imported: {lines[-1]} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    last = frames[-1] if len(frames) > 1 else None
    return f"module {name} cannot be imported: {lines[0]}" + (f" ({last.filename}, line {last.lineno})" if last else "")


def _below(module: ModuleType, base: type) -> Iterator[str]:
    for name, value in vars(module).items():
        if inspect.isclass(value) and issubclass(value, base) and value is not base:
            yield name


def _is_dotted(text: str) -> bool:
    return bool(text) and all(part.isidentifier() for part in text.split("."))


def _file_of(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built in"


def _described(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
