"""reduce(state, input, ctx) -> Step: one dispatch table; each rule lives in its noun's file.

Total: any input in any state gives a Step, never an exception; a rule that breaks down gives one that says so.
Deterministic: what it may know besides state and input is in the context. A refusal leaves the state untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quarterdeck.core import (
    aftermath,
    children,
    journal,
    lifecycle,
    pool,
    probing,
    processes,
    reality,
    sagas,
    slices,
    ticks,
    windows,
)
from quarterdeck.core.state import State
from quarterdeck.core.step import (
    ChildAdopted,
    ChildExited,
    ChildProbed,
    ChildrenConfigured,
    ChildSpawned,
    ChildSpawnFailed,
    ConfigurationRead,
    Context,
    HostChecked,
    Input,
    JournalReported,
    LauncherRestarted,
    Pong,
    QuitSignalled,
    ShutdownFinished,
    Step,
    SyntheticGoodbye,
    Tick,
    fault,
)
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import ProcessKind

Rule = Callable[[State, Any, Context], Step]


def reduce(state: State, input: Input, ctx: Context) -> Step:
    """Apply one input: change `state` in place and say what happened, what is answered and what is to be done.

    Where a rule breaks down nothing of it is told or done, and no version is taken; its sender is told `internal`. What
    it had changed until then stays: the same again in a replay, but the narration lacks it.
    """
    version = state.version
    kind = type(input)
    try:
        rule = TABLE.get(kind)
        roles = ROLES.get(kind)
        if rule is None:  # a slice's command, since whoever decodes knows no others
            rule, roles = _OF_SLICE, state.loaded.roles.get(kind)
        if roles is not None and ctx.source == "client":
            refused = _refused_to(roles, state, kind, ctx)
            if refused is not None:
                return refused
        step = rule(state, input, ctx)
        if step.events and kind not in _ENDS and aftermath.is_heard(state, step):
            aftermath.follow(state, step, ctx)
        return step
    except BaseException as error:
        state.version = version
        return broken(kind, error)


def broken(kind: type, error: BaseException) -> Step:
    """The outcome of an input whose rule broke down."""
    name = _name(kind)
    step = Step().refuse("internal", f"{name}: the launcher could not do it ({type(error).__name__}), its log says why")
    step.faults = (fault(name, error),)
    return step


def _refused_to(roles: tuple[ProcessKind, ...], state: State, kind: type, ctx: Context) -> Step | None:
    """The answer to a sender who has none of these roles."""
    sender = state.live(ctx.pid)
    if sender is not None and sender.kind in roles:
        return None
    who = sender.kind if sender is not None else "nobody registered"
    return Step().refuse("forbidden", f"{_name(kind)} is for {' and '.join(roles)}, not for {who}")


def _name(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]  # every input is a tagged Struct


def _ping(state: State, command: c.Ping, ctx: Context) -> Step:
    return Step(Pong(command.nonce))


def _unchanged(state: State, input: Input, ctx: Context) -> Step:
    """Queries are answered from history by the server: nothing changes."""
    return Step()


_HOST: Final[tuple[ProcessKind, ...]] = ("host",)
_HOST_OR_TOOL: Final[tuple[ProcessKind, ...]] = ("host", "tool")

ROLES: Final[dict[type, tuple[ProcessKind, ...]]] = {
    c.Activate: ("tool",),
    c.Quit: _HOST_OR_TOOL,
    c.StartProcess: _HOST_OR_TOOL,
    c.StopProcess: _HOST_OR_TOOL,
    c.RestartProcess: _HOST_OR_TOOL,
    c.ReportWindowOpened: _HOST,
    c.ReportWindowClosed: _HOST,
    c.ReportBackendWindowIdRegistered: _HOST,
    c.ReportBackendWindowIdUnregistered: _HOST,
    c.ReportPoolWindowAdded: _HOST,
    c.ReportPoolWindowRemoved: _HOST,
    c.ReportPoolWindowPromoted: _HOST,
    c.ReportHostCounts: _HOST,
    c.ReportHostPoolCount: _HOST,
    c.ReportBackgroundServiceEnabled: _HOST,
    c.ReportHwndOpened: _HOST,
    c.ReportHwndDestroyed: _HOST,
    c.ReportHwndForegroundChanged: _HOST,
    c.ReportHwndVisibilityChanged: _HOST,
    c.ReportHwndIconicChanged: _HOST,
    c.ReportHwndPositionChanged: _HOST,
    c.ReportMonitorTopologyChanged: _HOST,
    c.ReportPanesReaped: _HOST,
    c.ReportPoolDrainDecision: _HOST,
    c.ReportSagaActionFailed: _HOST,
    c.ReportUiThreadAlive: _HOST,
}
"""Who may send a command (protocol, section 4); one that is not here is for any registered client."""

_OF_SLICE: Final[Rule] = slices.commanded
_ENDS: Final = frozenset({Tick, LauncherRestarted})
"""What has no aftermath here: a tick knows which sagas are overdue, and sees to it itself; a run that died has none."""

TABLE: Final[dict[type, Rule]] = {
    c.Register: processes.register,
    c.Ping: _ping,
    c.Goodbye: processes.goodbye,
    c.GetSnapshot: _unchanged,
    c.GetMetrics: _unchanged,
    c.GetEvents: _unchanged,
    c.Subscribe: _unchanged,
    c.Publish: processes.publish,
    c.ReportStatus: processes.report_status,
    c.Activate: processes.activate,
    c.ReportStartupStageBegin: processes.stage_begin,
    c.ReportStartupStageEnd: processes.stage_end,
    c.ReportUiThreadAlive: probing.answered,
    c.Quit: lifecycle.quit,
    c.StartProcess: children.start,
    c.StopProcess: children.stop,
    c.RestartProcess: children.restart,
    c.ReportWindowOpened: windows.opened,
    c.ReportWindowClosed: windows.closed,
    c.ReportBackendWindowIdRegistered: windows.backend_id_registered,
    c.ReportBackendWindowIdUnregistered: windows.backend_id_unregistered,
    c.ReportBackgroundServiceEnabled: windows.background_service,
    c.ReportHostCounts: windows.host_counts,
    c.ReportPoolWindowAdded: pool.added,
    c.ReportPoolWindowRemoved: pool.removed,
    c.ReportPoolWindowPromoted: pool.promoted,
    c.ReportHostPoolCount: pool.host_pool_count,
    c.ReportPanesReaped: pool.panes_reaped,
    c.ReportPoolDrainDecision: pool.drain_decision,
    c.ReportSagaActionFailed: pool.action_failed,
    c.ReportHwndOpened: reality.opened,
    c.ReportHwndDestroyed: reality.destroyed,
    c.ReportHwndVisibilityChanged: reality.visibility,
    c.ReportHwndIconicChanged: reality.iconic,
    c.ReportHwndForegroundChanged: reality.foreground,
    c.ReportHwndPositionChanged: reality.position,
    c.ReportMonitorTopologyChanged: reality.monitors,
    SyntheticGoodbye: processes.synthetic_goodbye,
    QuitSignalled: lifecycle.quit_signalled,
    ShutdownFinished: lifecycle.shutdown_finished,
    JournalReported: journal.reported,
    LauncherRestarted: sagas.launcher_restarted,
    ConfigurationRead: processes.configuration_read,
    ChildrenConfigured: children.configured,
    ChildSpawned: children.spawned,
    ChildAdopted: children.adopted,
    ChildSpawnFailed: lifecycle.child_spawn_failed,
    ChildProbed: children.probed,
    ChildExited: lifecycle.child_exited,
    HostChecked: probing.checked,
    Tick: ticks.tick,
}
