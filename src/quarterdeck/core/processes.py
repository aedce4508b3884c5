"""Processes: who is registered, who left and how (semantics, "Processes").

A registration is running until its goodbye, its own or a synthetic one; exactly one exit per registration, always
before the next registration of that pid. Exited records are kept, the oldest exit forgotten beyond the limit; a fold
forgets the same ones.
"""

from __future__ import annotations

from msgspec import Raw

from quarterdeck.core import children, lifecycle, pool, probing, sagas, windows
from quarterdeck.core.state import Process, State
from quarterdeck.core.step import ConfigurationRead, Context, Step, SyntheticGoodbye, Welcome
from quarterdeck.core.telling import Telling
from quarterdeck.schema.commands import (
    Activate,
    Goodbye,
    Publish,
    Register,
    ReportStartupStageBegin,
    ReportStartupStageEnd,
    ReportStatus,
)
from quarterdeck.schema.events import (
    Activated,
    ProcessExited,
    ProcessSpawned,
    ProcessStatusChanged,
    Published,
    StartupStageBegun,
    StartupStageEnded,
)
from quarterdeck.schema.types import ExitReason


def register(state: State, command: Register, ctx: Context) -> Step:
    """A process becomes known, over an exited record of its pid too: systems reuse pids."""
    step = Step()
    if state.live(command.pid) is not None:
        return step.refuse("already_registered", f"pid {command.pid} is registered and alive", fatal=True)
    if state.lifecycle in ("quitting", "dead") and command.kind != "tool":
        return step.refuse("shutting_down", f"the launcher is {state.lifecycle}", fatal=True)
    if command.kind == "host" and state.host_pid is not None:
        return step.refuse("conflict", f"pid {state.host_pid} is the host, and there is only one", fatal=True)
    state.clients += 1
    state.exited.pop(command.pid, None)
    state.processes[command.pid] = Process(
        command.pid, command.kind, command.name, command.version, ctx.now, state.clients, ctx.start
    )
    step.events.append(
        ProcessSpawned(state.next_version(), command.pid, command.kind, command.version, command.name, ctx.now)
    )
    if command.kind == "host":
        state.host_pid = command.pid
        windows.host_registered(state, ctx.now_ms)
        probing.begin(state, ctx)
        lifecycle.move(state, step, "running")
    children.registered(state, step, ctx)
    step.reply = Welcome(state.clients)
    return step


def goodbye(state: State, command: Goodbye, ctx: Context) -> Step:
    """A process leaves in good order."""
    return _leave(state, ctx, 0, "goodbye")


def synthetic_goodbye(state: State, observation: SyntheticGoodbye, ctx: Context) -> Step:
    """A process left without a word."""
    return _leave(state, ctx, observation.code, observation.reason)


def _leave(state: State, ctx: Context, code: int | None, reason: ExitReason) -> Step:
    step = Step()
    process = state.live(ctx.pid)
    if process is None:
        return step
    process.code = code
    process.exited_version = state.next_version()
    step.events.append(ProcessExited(process.exited_version, process.pid, code, reason, reason != "goodbye"))
    _remember_exited(state, process.pid)
    if state.host_pid == process.pid:
        state.host_pid = None
        probing.end(state)
        _host_left(state, step, process, reason, ctx)
    return step


def _host_left(state: State, step: Step, host: Process, reason: ExitReason, ctx: Context) -> None:
    """Its windows close or are orphaned; its pool is gone, and its sagas fail."""
    telling = Telling(state)
    if reason == "goodbye":
        windows.host_said_goodbye(state, telling, ctx.now_ms)
    else:
        windows.host_vanished(state, telling, host.pid, ctx.now_ms)
    pool.empty(state, telling)
    telling.into(step)
    sagas.host_left(state, step, host.client_id, ctx)


def _remember_exited(state: State, pid: int) -> None:
    state.exited[pid] = None
    while len(state.exited) > state.rules.exited_processes_max:
        oldest, _ = state.exited.popitem(last=False)
        del state.processes[oldest]


def publish(state: State, command: Publish, ctx: Context) -> Step:
    """A process tells the others something of the application's own."""
    step = Step()
    sender = state.live(ctx.pid)
    if sender is not None:
        step.events.append(Published(state.next_version(), command.topic, command.payload, sender.client_id))
    return step


def report_status(state: State, command: ReportStatus, ctx: Context) -> Step:
    """A process replaces its status; the same status again is told again."""
    step = Step()
    sender = state.live(ctx.pid)
    if sender is not None:
        assert isinstance(command.status, Raw)  # the wire compacts it before the reducer sees it
        sender.status = command.status
        step.events.append(ProcessStatusChanged(state.next_version(), sender.pid, command.status))
    return step


def activate(state: State, command: Activate, ctx: Context) -> Step:
    """A second instance hands its arguments to the first."""
    step = Step()
    sender = state.live(ctx.pid)
    if sender is not None:
        step.events.append(Activated(state.next_version(), command.argv, command.cwd, sender.pid))
    return step


def stage_begin(state: State, command: ReportStartupStageBegin, ctx: Context) -> Step:
    """A stage of a process's start begins."""
    step = Step()
    sender = state.live(ctx.pid)
    if sender is not None:
        step.events.append(StartupStageBegun(state.next_version(), sender.pid, command.stage, command.label))
    return step


def configuration_read(state: State, observation: ConfigurationRead, ctx: Context) -> Step:
    """The launcher read its configuration anew: a stage of its own."""
    step = Step()
    pid, stage = observation.pid, "reload"
    step.events.append(StartupStageBegun(state.next_version(), pid, stage, observation.path))
    step.events.append(
        StartupStageEnded(
            state.next_version(), pid, stage, observation.duration_ms, observation.status, observation.detail
        )
    )
    return step


def stage_end(state: State, command: ReportStartupStageEnd, ctx: Context) -> Step:
    """A stage of a process's start ends."""
    step = Step()
    sender = state.live(ctx.pid)
    if sender is not None:
        step.events.append(
            StartupStageEnded(
                state.next_version(), sender.pid, command.stage, command.duration_ms, command.status, command.detail
            )
        )
    return step
