"""watch: every event as it happens, resumed, limited, and across a launcher that comes back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.ui.running import Launcher, run


def test_events_are_the_protocol_s_lines_without_a_gap(launcher: Launcher) -> None:
    watch = launcher.watch()
    watch.until("process_spawned", name="watch")
    launcher.run("publish", "topic", '{"n": 1}', "--name", "someone")
    spawned = watch.until("process_spawned", name="someone")
    told = watch.until("published")
    assert told == {**told, "version": spawned["version"] + 1, "topic": "topic", "payload": {"n": 1}}
    gone = watch.until("process_exited", pid=spawned["pid"])
    assert (gone["reason"], gone["synthetic"]) == ("goodbye", False)
    assert watch.stop() == 0


def test_piped_sentences_are_plain_and_come_at_once(launcher: Launcher) -> None:
    seen = launcher.watch()
    watcher = launcher.start("watch", "published", stdout=subprocess.PIPE)
    seen.until("process_spawned", pid=watcher.pid)
    launcher.run("publish", "topic", '"[red]x"')
    assert watcher.stdout is not None
    with watcher.stdout as stdout:
        assert stdout.readline().split(maxsplit=1)[1].endswith('published topic: "[red]x"\n')
    watcher.terminate()
    watcher.wait()
    seen.stop()


def test_it_ends_after_so_many_events(launcher: Launcher) -> None:
    launcher.run("ping")
    done = launcher.run("watch", "--since", "0", "--count", "2", "--json")
    assert done.returncode == 0
    assert [json.loads(line)["version"] for line in done.stdout.splitlines()] == [1, 2]


def test_it_ends_after_so_many_seconds(launcher: Launcher) -> None:
    done = launcher.run("watch", "sage_*", "saga_*", "--for", "0.1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "quarterdeck: warning: no event's name fits 'sage_*'; did you mean 'saga_*'?\n"


def test_a_name_that_no_event_has_is_refused_with_the_nearest(launcher: Launcher) -> None:
    done = launcher.run("watch", "window_opend")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "did you mean 'window_opened'?" in done.stderr


def test_to_be_told_to_end_is_no_crash(launcher: Launcher) -> None:
    seen = launcher.watch()
    watcher = launcher.start("watch", stdout=subprocess.PIPE)
    assert watcher.stdout is not None
    with watcher.stdout as stdout:
        stdout.readline()  # it watches now, and does not only connect
        watcher.terminate()
        assert seen.until("process_exited", pid=watcher.pid)["reason"] == "goodbye"
    assert watcher.wait() == 0
    seen.stop()


def test_it_resumes_after_a_version(launcher: Launcher) -> None:
    for number in range(3):
        launcher.run("publish", "topic", str(number))
    first, *rest = launcher.run("watch", "--since", "0", "published", "--count", "3", "--json").stdout.splitlines()
    version = json.loads(first)["version"]
    run_id = launcher.line.split("run=")[1].strip()
    for more in ([], ["--run", run_id]):
        done = launcher.run("watch", "--since", str(version), *more, "published", "--count", "2", "--json")
        assert done.stdout.splitlines() == rest


def test_it_begins_at_a_time_as_events_does(launcher: Launcher) -> None:
    launcher.run("publish", "topic", "1")
    for since in ("1h", "1999-01-01"):  # before the run began: all that it told
        done = launcher.run("watch", "--json", "--count", "2", "--since", since)
        assert [json.loads(line)["version"] for line in done.stdout.splitlines()] == [1, 2], done.stderr
    told = run("events", "--json", "--kind", "published", "--data-dir", str(launcher.folder)).stdout
    at = json.loads(told)["at"]
    first, *_ = launcher.run("watch", "--json", "--count", "1", "published", "--since", at).stdout.splitlines()
    assert json.loads(first)["version"] == json.loads(told)["version"]


def test_a_time_needs_a_journal_and_no_run(folder: Path) -> None:
    launcher = Launcher(folder, "--journal", "off")
    try:
        done = launcher.run("watch", "--since", "5m")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "--since 5m: which version that was is in the launcher's journal, and that cannot tell" in done.stderr
        assert "--run says what the version" in launcher.run("watch", "--since", "5m", "--run", "r").stderr
        assert "--since soon: neither a version nor a time" in launcher.run("watch", "--since", "soon").stderr
    finally:
        launcher.stop()


def test_another_run_s_version_is_refused(launcher: Launcher) -> None:
    done = launcher.run("watch", "--since", "1", "--run", "another")
    assert done.returncode == 1
    assert "unknown_run" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_is_no_event_is_refused(launcher: Launcher) -> None:
    done = launcher.run("watch", "frobnicated")
    assert done.returncode == 1
    assert "frobnicated" in done.stderr


def test_what_is_no_longer_held_is_told_with_its_range(folder: Path) -> None:
    launcher = Launcher(folder, "--set", "limits.ring_events=4", "--journal", "off")
    try:
        for number in range(4):
            launcher.run("publish", "topic", str(number))
        lagged, event = launcher.run("watch", "--since", "0", "--count", "2", "--json").stdout.splitlines()
        said = launcher.run("watch", "--since", "0", "--count", "1").stdout
    finally:
        launcher.stop()
    told = json.loads(lagged)
    assert (told["event"], told["from"]) == ("lagged", 1)
    assert json.loads(event)["version"] == told["to"] + 1
    assert "versions 1 to " in said


def test_it_goes_on_with_the_next_run(folder: Path) -> None:
    first = Launcher(folder)
    watch = first.watch()
    watch.until("process_spawned", name="watch")
    assert first.stop() == 0
    second = Launcher(folder)
    try:
        changed = watch.until("run_changed")
        assert changed["old_run_id"] in first.line
        assert changed["new_run_id"] in second.line
        second.run("publish", "again", "1")
        watch.until("published", topic="again")
        assert watch.stop() == 0
    finally:
        second.stop()
