"""What `module:NAME` names is loaded, or it is said in one line what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.errors import ConfigError
from quarterdeck.server.loading import load


class Base:
    """Stands for what an application derives from."""


SOURCE = """
import threading
from tests.server.test_loading import Base

class Good(Base):
    class Inner(Base):
        pass

class Other:
    pass

def function():
    import neighbour_of_loaded
    return neighbour_of_loaded.VALUE

value = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An application's folder; what was loaded from it is forgotten afterwards."""
    place = tmp_path / "app"
    place.mkdir()
    before, modules = list(sys.path), set(sys.modules)
    yield place
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def complaint(name: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load("--slice", name, Base, folder)
    (line,) = raised.value.lines
    assert line.startswith("--slice: ")
    assert "\n" not in line
    return line.removeprefix("--slice: ")


def test_a_class_is_loaded_from_the_applications_folder(folder: Path) -> None:
    (folder / "loaded_good.py").write_text(SOURCE)
    (folder / "neighbour_of_loaded.py").write_text("VALUE = 7")
    found = load("--slice", "loaded_good:Good", Base, folder)
    assert (found.__name__, found.__module__) == ("Good", "loaded_good")
    assert load("--slice", "loaded_good:Good.Inner", Base, folder).__qualname__ == "Good.Inner"
    assert sys.modules["loaded_good"].function() == 7  # imported only when it is called


def test_what_is_called_like_a_module_of_the_library_takes_nothing_over(folder: Path) -> None:
    (folder / "queue.py").write_text("class Jobs: pass")
    said = complaint("queue:Jobs", folder)
    assert "has no Jobs; of quarterdeck.Base it has: none" in said
    assert str(folder) not in said


@pytest.mark.parametrize(
    "name", ["", "counter", "counter:", ":Counter", "app/counter:Counter", "a b:C", "a:C:D", "a..b:C"]
)
def test_another_form_is_refused(name: str, folder: Path) -> None:
    assert complaint(name, folder) == f"expected module:NAME, such as app.counter:Counter, found {name!r}"


def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    missing = f"neither installed nor in {folder}"
    assert complaint("loaded_no:Counter", folder) == f"there is no module loaded_no, {missing}"
    (folder / "loaded_package").mkdir()
    (folder / "loaded_package" / "__init__.py").touch()
    assert complaint("loaded_package.no:Counter", folder) == f"there is no module loaded_package.no, {missing}"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (FILE, line 1)"),
        ("import loaded_nowhere", "ModuleNotFoundError: No module named 'loaded_nowhere' (FILE, line 1)"),
        ("\ndef", "SyntaxError: invalid syntax (FILE, line 2)"),
        ("raise SystemExit(3)", "SystemExit: 3 (FILE, line 1)"),
        ("raise ValueError('a\\nb')", "ValueError: a (FILE, line 1)"),
    ],
)
def test_a_module_that_cannot_be_imported_says_what_and_where(source: str, said: str, folder: Path) -> None:
    file = folder / "loaded_broken.py"
    file.write_text(source)
    assert complaint("loaded_broken:Counter", folder) == (
        f"module loaded_broken cannot be imported: {said.replace('FILE', str(file))}"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Missing", "loaded_wrong (FILE) has no Missing; of quarterdeck.Base it has: Good"),
        ("Good.Missing", "loaded_wrong (FILE) has no Good.Missing; of quarterdeck.Base it has: Good"),
        ("Other", "loaded_wrong:Other: expected a class below quarterdeck.Base, found the class Other"),
        ("Base", "loaded_wrong:Base: expected a class below quarterdeck.Base, found the class Base"),
        ("function", "loaded_wrong:function: expected a class below quarterdeck.Base, found a value of type function"),
        ("value", "loaded_wrong:value: expected a class below quarterdeck.Base, found a value of type int"),
    ],
)
def test_what_is_no_such_class_is_told(name: str, said: str, folder: Path) -> None:
    file = folder / "loaded_wrong.py"
    file.write_text(SOURCE)
    assert complaint(f"loaded_wrong:{name}", folder) == said.replace("FILE", str(file))
