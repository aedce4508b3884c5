"""Probing: whether the host's user interface thread answers (protocol, section 7, `probe_ui_thread`).

Rules:
- The live host is sent a probe every `probe_interval_ms`, the first one so long after it registered; none once the
  launcher quits. Its nonce is drawn, so that a late answer to another host's or another run's probe is nobody's.
- A probe without an answer when the next one is due is a miss. `probe_misses` in a row are `host_unresponsive`, told
  once; the probes go on, and the next answer is `host_responsive`.
- An answer counts however late it is: the thread ran. What was asked before it is awaited no more.
- A Tick that is late itself says that the launcher did not run (stopped, suspended, starved), so that an answer may lie
  unread: it counts no miss.
- A host that never answered may be one that knows no probes. It is told as unresponsive, but nothing is done about it.
- Nothing is done at all unless `on_hang` is "restart", the host is the launcher's own child of kind host, and a second
  signal agrees that does not come over the host's connection: the window system asks its windows, and none answers.
"""

from __future__ import annotations

from typing import Final

from quarterdeck.core import children
from quarterdeck.core.deadlines import Deadline
from quarterdeck.core.state import Child, Probe, Probing, State
from quarterdeck.core.step import CheckHost, Context, DirectHost, HostChecked, Step
from quarterdeck.schema.commands import ReportUiThreadAlive
from quarterdeck.schema.events import HostResponsive, HostUnresponsive
from quarterdeck.schema.replies import ProbeUiThread

DUE: Final = Deadline("", 0, "probe")
LATE_MS: Final = 1_000
"""A Tick later than this was kept from coming."""
NONCES: Final = 2**53
"""Nonces are below: every reader of JSON has them exactly, so that a host in JavaScript answers what it was asked."""
AWAITED_MAX: Final = 64
"""Probes that an answer is known of; of older ones an answer is nobody's. A host that hung for longer has newer ones to
answer, too.
"""

DELIVERED_MAX: Final = 4
"""Probes that a host finds when it reads again after a long while."""


def begin(state: State, ctx: Context) -> None:
    """A host registered."""
    if state.rules.probe_interval_ms:
        state.probing = Probing(ctx.child)
        state.deadlines.set(DUE, ctx.now_ms + state.rules.probe_interval_ms)


def cease(state: State) -> None:
    """No more probes; answers to those that are out still count."""
    state.deadlines.drop(DUE)


def end(state: State) -> None:
    """The host is gone, and what it was asked with it."""
    cease(state)
    state.probing = None


def decide(state: State, step: Step, ctx: Context) -> None:
    """The next probe is due: was the last one answered?"""
    probing, host = state.probing, state.live(state.host_pid)
    if probing is None or host is None:
        return
    interval_ms = state.rules.probe_interval_ms
    if probing.awaited and ctx.now_ms - probing.awaited[-1].sent_ms <= interval_ms + LATE_MS:
        _miss(state, step, probing, host.pid)
    nonce = ctx.entropy % NONCES
    probing.awaited = (*probing.awaited, Probe(nonce, ctx.now_ms))[-AWAITED_MAX:]
    step.effects.append(DirectHost(ProbeUiThread(nonce), host.client_id))
    state.deadlines.set(DUE, ctx.now_ms + interval_ms)


def _miss(state: State, step: Step, probing: Probing, host_pid: int) -> None:
    probing.misses += 1
    if probing.misses < state.rules.probe_misses:
        return
    if not probing.unresponsive:
        probing.unresponsive = True
        step.events.append(HostUnresponsive(state.next_version(), host_pid, probing.misses))
    if _suspect(state, probing) is not None:
        step.effects.append(CheckHost(host_pid))


def is_wanted(state: State, effect: DirectHost) -> bool:
    """Whether a probe may still be delivered: a host that reads nothing for long is left the newest ones to answer."""
    directive, probing = effect.directive, state.probing
    if probing is None or not isinstance(directive, ProbeUiThread):
        return False
    return any(probe.nonce == directive.nonce for probe in probing.awaited[-DELIVERED_MAX:])


def answered(state: State, command: ReportUiThreadAlive, ctx: Context) -> Step:
    """The host's user interface thread ran."""
    step = Step()
    probing, host_pid = state.probing, state.host_pid
    if probing is None or host_pid is None:
        return step
    for place, probe in enumerate(probing.awaited):
        if probe.nonce == command.nonce:
            probing.awaited = probing.awaited[place + 1 :]
            probing.misses = 0
            probing.has_answered = True
            if probing.unresponsive:
                probing.unresponsive = False
                step.events.append(HostResponsive(state.next_version(), host_pid, ctx.now_ms - probe.sent_ms))
            break
    return step


def checked(state: State, observation: HostChecked, ctx: Context) -> Step:
    """The window system was asked about the windows of a host that does not answer probes."""
    step = Step()
    probing = state.probing
    if observation.found != "hung" or probing is None or state.host_pid != observation.pid or not probing.unresponsive:
        return step
    child = _suspect(state, probing)
    if child is not None:
        why = f"unresponsive: {probing.misses} probes unanswered, and its windows do not answer the window system"
        children.end_as_failed(state, step, child, ctx, why)
    return step


def _suspect(state: State, probing: Probing) -> Child | None:
    """The child to be restarted, if the host is one, and its silence means anything."""
    if state.rules.on_hang != "restart" or not probing.has_answered or state.lifecycle in ("quitting", "dead"):
        return None
    child = state.children.get(probing.child) if probing.child is not None else None
    return child if child is not None and child.plan.kind == "host" and children.would_return(child) else None
