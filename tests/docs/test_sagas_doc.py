"""docs/sagas.md shows what there is: every saga, every reason, and what `quarterdeck sagas` prints."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import quarterdeck
from quarterdeck.core import saga_asking, sagas
from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.saga import name_of
from quarterdeck.schema.replies import ReapPanes, SpawnPoolWindow
from tests.ui.running import Launcher

DOC = (Path(__file__).parents[2] / "docs" / "sagas.md").read_text()


def test_every_saga_of_the_launcher_s_is_there_with_what_begins_it() -> None:
    for name, kind in BUILTIN_SAGAS.items():
        (row,) = re.findall(rf"^\| `{name}` \|(.*)$", DOC, re.MULTILINE)
        for event in kind.starts_on:
            assert f"`{event.__struct_config__.tag}`" in row


def test_every_reason_is_there() -> None:
    source = "".join(Path(str(each.__file__)).read_text() for each in (sagas, saga_asking))
    own = {sagas.NO_END, sagas.RESTARTED, saga_asking.BROKEN, saga_asking.HOST_GONE}
    reasons = {"deadline", "limit reached", "launcher quits", *own}
    assert all(f'"{reason}"' in source for reason in reasons)
    assert reasons == set(re.findall(r"^\| `([a-z ]+)` \|", DOC.partition("## How one ends")[2], re.MULTILINE))


def test_the_example_does_what_its_test_says() -> None:
    found: dict[str, object] = {}
    for mark in ("saga", "harness"):
        block = re.search(rf"^<!-- {mark} -->\n```python\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
        assert block is not None
        exec(compile(block[1], f"docs/sagas.md, {mark}", "exec"), found)
    assert name_of(found["TearOffTab"]) == "tear_off_tab"  # type: ignore[arg-type]  # what the page defines


def test_what_is_shown_is_printed() -> None:
    shown = re.search(r"^<!-- example -->\n```text\n\$ quarterdeck (.*?)\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
    assert shown is not None
    with tempfile.TemporaryDirectory(prefix="qd-doc-") as folder:
        launcher = Launcher(Path(folder))
        with quarterdeck.connect_blocking(kind="host", endpoint=launcher.endpoint) as host:
            asked = host.directives(timeout_s=40)
            host.report_pool_window_promoted("w1")
            spawn = next(asked)
            assert isinstance(spawn, SpawnPoolWindow)
            host.report_pool_window_added("w2", saga_id=spawn.saga_id)
            host.report_window_opened("w1", "full_instance", None)
            host.report_window_closed("w1")
            reap = next(asked)
            assert isinstance(reap, ReapPanes)
            host.report_saga_action_failed(reap.saga_id, "no memory")
            done = launcher.run(*shown[1].split(), "--data-dir", folder)
        launcher.stop()
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    wanted = [" ".join(line.split()) for line in shown[2].splitlines()]
    assert len(lines) == len(wanted), done
    for line, pattern in zip(lines, wanted, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), line), (line, pattern)
