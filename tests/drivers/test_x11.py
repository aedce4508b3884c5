"""The X11 witness on a real X server (Xvfb), with a real window manager (openbox) and without one.

That nothing is told is shown by a later window that is told: reports come in order.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from quarterdeck.drivers.witness import Report
from quarterdeck.schema.commands import (
    ReportHwndDestroyed,
    ReportHwndForegroundChanged,
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndVisibilityChanged,
    ReportMonitorTopologyChanged,
)
from quarterdeck.schema.types import Rect
from tests.drivers.scene import Scene, play, shown, where
from tests.drivers.xserver import XServer

# Windows.


def test_a_window_is_told_with_its_first_state(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        window = scene.host().window(label="main", left=120, top=130, width=300, height=200)
        told = await scene.until_opened(window)
        assert told[:3] == shown(window, "main")
        rect = scene.rect(window)
        assert (rect.right - rect.left, rect.bottom - rect.top) == (300, 200)
        assert rect == where(any_server, window)

    play(any_server, act)


def test_windows_that_were_there_before_are_told_too(any_server: XServer) -> None:
    client = any_server.client()
    windows = [client.window(label=f"w{number}") for number in range(20)]

    async def act(scene: Scene) -> None:
        scene.pids.add(client.pid)
        for window in windows:
            assert (await scene.until_opened(window))[0] == shown(window, f"w{windows.index(window)}")[0]

    play(any_server, act)


@pytest.mark.parametrize("deep", [1, 3])
def test_windows_that_a_plain_window_manager_framed_before_are_found(server: XServer, deep: int) -> None:
    """As after every restart of the launcher: it has no list of its windows, and frames them one or more deep."""
    client, stranger, manager = server.client(), server.client(), server.client()
    window = client.tell("create", label="main", pid=client.pid)
    frame = manager.tell("frame", window=window, deep=deep)
    manager.tell("frame", window=stranger.tell("create", label="other"))

    async def act(scene: Scene) -> None:
        scene.pids.add(client.pid)
        assert (await scene.until_opened(window))[:3] == shown(window, "main")
        assert scene.rect(window) == where(server, window)
        manager.tell("move", window=frame, left=200, top=100)
        await scene.until_true(lambda: scene.rect(window) == where(server, window) and len(scene.places(window)) == 2)
        client.tell("destroy", window=window)
        await scene.until(ReportHwndDestroyed(hwnd=window))
        assert [report.label_hint for report in scene.told if isinstance(report, ReportHwndOpened)] == ["main"]

    play(server, act)


def test_windows_framed_before_their_process_is_the_host_are_found(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, manager = server.client(), server.client()
        window = client.tell("create", label="main")
        manager.tell("frame", window=window)
        await scene.all_told(scene.host())
        assert scene.of(window) == []
        scene.pids.add(client.pid)
        scene.witness.host_changed()
        assert (await scene.until_opened(window))[:3] == shown(window, "main")

    play(server, act)


def test_frames_in_frames_without_end_are_looked_into_so_far(server: XServer) -> None:
    client, manager = server.client(), server.client()
    window = client.tell("create", label="deep")
    manager.tell("frame", window=window, deep=40)

    async def act(scene: Scene) -> None:
        scene.pids.add(client.pid)
        await scene.all_told(scene.host())
        assert scene.of(window) == []

    play(server, act)


def test_menus_working_windows_and_strangers_are_not_told(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, stranger = scene.host(), any_server.client()
        stranger.window(label="stranger")
        stranger.window(pid=os.getpid(), machine="another.example")
        client.window(menu=True)
        client.tell("create")
        await scene.all_told(client)
        assert {type(report) for report in scene.told} == {ReportMonitorTopologyChanged}

    play(any_server, act)


def test_destroyed_by_itself_by_others_and_with_its_process(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, other, crashed = scene.host(), scene.host(), scene.host()
        by_itself, by_other, killed = client.window(), client.window(), other.window()
        with_its_process = crashed.window()
        for window in (by_itself, by_other, killed, with_its_process):
            await scene.until_opened(window)
        client.tell("destroy", window=by_itself)
        await scene.until(ReportHwndDestroyed(hwnd=by_itself))
        any_server.run("xdotool", "windowclose", str(by_other))
        await scene.until(ReportHwndDestroyed(hwnd=by_other))
        any_server.run("xdotool", "windowkill", str(killed))
        await scene.until(ReportHwndDestroyed(hwnd=killed))
        crashed.end()
        await scene.until(ReportHwndDestroyed(hwnd=with_its_process))

    scene = play(any_server, act)
    ends = [report for report in scene.told if isinstance(report, ReportHwndDestroyed)]
    assert len(ends) == len(set(ends)) == 4


def test_hidden_and_shown_again(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        scene.clear()
        client.tell("withdraw", window=window)
        await scene.until(ReportHwndVisibilityChanged(hwnd=window, visible=False))
        client.tell("map", window=window)
        await scene.until(ReportHwndVisibilityChanged(hwnd=window, visible=True))
        assert "ReportHwndOpened" not in scene.kinds(window)
        assert "ReportHwndIconicChanged" not in scene.kinds(window)

    play(any_server, act)


def test_minimised_is_told_before_hidden_and_shown_before_restored(server: XServer) -> None:
    server.manage()

    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        minimised_by_itself = partial(client.tell, "iconify", window=window)
        for minimise in (minimised_by_itself, partial(server.run, "xdotool", "windowminimize", str(window))):
            scene.clear()
            minimise()
            hidden: list[Report] = [
                ReportHwndIconicChanged(hwnd=window, iconic=True),
                ReportHwndVisibilityChanged(hwnd=window, visible=False),
            ]
            await scene.until(*hidden)
            assert scene.of(window)[:2] == hidden
            scene.clear()
            client.tell("activate", window=window)
            restored: list[Report] = [
                ReportHwndVisibilityChanged(hwnd=window, visible=True),
                ReportHwndIconicChanged(hwnd=window, iconic=False),
            ]
            await scene.until(*restored)
            assert [report for report in scene.of(window) if report in restored] == restored
            await scene.until_looked_at(client, window)

    play(server, act)


def test_the_animation_of_minimising_is_no_move(server: XServer) -> None:
    server.manage()

    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        first = scene.rect(window)
        client.tell("iconify", window=window)
        await scene.until(ReportHwndVisibilityChanged(hwnd=window, visible=False))
        client.tell("activate", window=window)
        await scene.until(ReportHwndVisibilityChanged(hwnd=window, visible=True))
        server.run("xdotool", "windowsize", str(window), "432", "321")
        await scene.until_true(lambda: scene.rect(window) != first)
        assert scene.places(window) == [first, Rect(first.left, first.top, first.left + 432, first.top + 321)]

    play(server, act)


def test_a_frame_hidden_behind_the_window_managers_back(server: XServer) -> None:
    server.manage()

    async def act(scene: Scene) -> None:
        window = scene.host().window()
        await scene.until_opened(window)
        lines = server.run("xwininfo", "-tree", "-id", str(window)).splitlines()
        frame = next(line.split()[3] for line in lines if "Parent window id" in line)
        server.run("xdotool", "windowunmap", frame)
        await scene.until(ReportHwndVisibilityChanged(hwnd=window, visible=False))
        assert ReportHwndIconicChanged(hwnd=window, iconic=True) not in scene.told

    play(server, act)


def test_moved_by_itself_and_by_others(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        for command in (("windowmove", "400", "300"), ("windowsize", "500", "222"), ("windowmove", "-2000", "5000")):
            before = scene.rect(window)
            any_server.run("xdotool", command[0], str(window), *command[1:])
            await scene.until_true(lambda rect=before: scene.rect(window) != rect)  # type: ignore[misc]
        assert scene.rect(window) == where(any_server, window)

    play(any_server, act)


def test_of_many_moves_few_are_told_and_always_the_last(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        scene.clear()
        client.tell("wiggle", window=window, times=2000, left=321)
        # Where it was put last, but for the frame; what is told before may be where it is at that moment.
        await scene.until_true(lambda: bool(scene.of(window)) and scene.rect(window).left - 321 in range(20))
        await scene.until_true(lambda: scene.rect(window) == where(any_server, window))
        assert len(scene.of(window)) < 100

    play(any_server, act)


def test_the_foreground(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, stranger = scene.host(), any_server.client()
        first, second = client.window(left=10), client.window(left=500)
        foreign = stranger.window(left=900)
        await scene.until_opened(first)
        await scene.until_opened(second)
        for window in (second, first, second, foreign, second, second):
            any_server.run(
                "xdotool", "windowactivate" if any_server.is_managed else "windowfocus", "--sync", str(window)
            )
            await scene.until_looked_at(client, first)
        await scene.until_true(lambda: scene.fronts[-4:] == [second, first, second, second])

    play(any_server, act)


def test_the_window_that_is_active_when_it_is_found(server: XServer) -> None:
    server.manage()
    client = server.client()
    window = client.window()

    async def act(scene: Scene) -> None:
        client.tell("activate", window=window)
        await scene.until_true(lambda: bool(scene.asked))
        scene.pids.add(client.pid)
        scene.witness.host_changed()
        await scene.until_opened(window)
        await scene.until(ReportHwndForegroundChanged(hwnd=window))

    play(server, act)


# Names.


def test_labels_and_titles(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        both = client.window(label="label", role="role", title="Füße 🦶")
        role = client.window(role="role", old_title="Füße")
        none = client.window(title="")
        for window in (both, role, none):
            await scene.until_opened(window)
        assert scene.of(both)[:3] == shown(both, "label", "Füße 🦶")
        assert scene.of(role)[:3] == shown(role, "role", "Füße")
        assert scene.of(none)[:3] == shown(none, None, "")

    play(any_server, act)


def test_a_label_that_comes_later_is_told_by_opening_again(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window(role="role")
        await scene.until_opened(window)
        client.tell("raw_text", window=window, name="_NET_WM_NAME", value=b"New".hex())
        for label in ("first", "second"):
            scene.clear()
            client.tell("label", window=window, label=label)
            again = ReportHwndOpened(hwnd=window, class_name="Class", title="New", label_hint=label)
            await scene.until(again)
            assert scene.of(window) == [again]

    play(any_server, act)


def test_texts_are_cut_and_never_fail(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.tell("create")
        client.tell("raw_text", window=window, name="_NET_WM_NAME", value=("🦶" * 600).encode().hex())
        client.tell("raw_text", window=window, name="_QUARTERDECK_LABEL", value=b"a\xff\xfe\xc3".hex())
        client.tell("map", window=window)
        opened = (await scene.until_opened(window))[0]
        expected = ReportHwndOpened(hwnd=window, class_name="Class", title="🦶" * 512, label_hint="a\ufffd\ufffd\ufffd")
        assert opened == expected

    play(any_server, act)


# Whose windows.


def test_the_claimed_pid_counts_only_on_this_machine(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, proxy = scene.host(), any_server.client()
        here = proxy.window(pid=client.pid, machine=os.uname().nodename)
        unsaid = proxy.window(pid=client.pid)
        elsewhere = proxy.window(pid=client.pid, machine="somewhere.else.example")
        lying = client.window(pid=1)
        for window in (here, unsaid, lying):
            await scene.until_opened(window)
        await scene.all_told(client)
        assert scene.of(elsewhere) == []

    play(any_server, act)


def test_another_host(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        old, new = scene.host(), any_server.client()
        of_old, of_new = old.window(label="old"), new.window(label="new")
        kept = old.window(label="kept", pid=new.pid)
        await scene.until_opened(of_old)
        await scene.until_opened(kept)
        scene.clear()
        scene.pids = {new.pid}
        scene.witness.host_changed()
        await scene.until_opened(of_new)
        await scene.all_told(new)
        assert scene.of(of_old) == []
        assert scene.of(kept) == []

        old.tell("move", window=of_old, left=1, top=1)
        old.tell("withdraw", window=of_old)
        await scene.all_told(new)
        assert scene.of(of_old) == [], "a window of a former host is forgotten"
        old.tell("destroy", window=of_old)
        await scene.until(ReportHwndDestroyed(hwnd=of_old))

        scene.clear()
        scene.pids = set()
        scene.witness.host_changed()
        scene.pids = {new.pid, old.pid}
        scene.witness.host_changed()
        again = old.window()
        await scene.until_opened(again)
        assert scene.of(of_new) == [], "what still belongs when it is looked at was never lost"

    play(any_server, act)


def test_the_window_manager_may_come_go_and_come_back(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window = client.window()
        await scene.until_opened(window)
        for _ in range(2):
            window_manager = server.manage()
            framed = client.window()
            await scene.until_opened(framed)
            await scene.until_true(lambda: scene.rect(window) == where(server, window))
            window_manager.kill()
            window_manager.wait()
            bare = client.window(left=77, top=88)
            await scene.until_opened(bare)
            assert (scene.rect(bare).left, scene.rect(bare).top) == (77, 88)
        await scene.all_told(client)

    scene = play(server, act)
    assert not any(isinstance(report, ReportHwndDestroyed) for report in scene.told)
