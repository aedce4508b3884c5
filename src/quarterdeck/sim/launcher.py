"""One run of a launcher in the world: the real acceptor, engine, hub and recording, as the daemon puts them together.

It ends in good order (quit, a signal), or is killed between any two instructions, in the middle of a turn too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from quarterdeck.config import Config
from quarterdeck.core.state import ChildPlan, State
from quarterdeck.core.step import ChildrenConfigured
from quarterdeck.server.acceptor import Acceptor
from quarterdeck.server.engine import Engine
from quarterdeck.server.faults import Faults
from quarterdeck.server.ports import Identity
from quarterdeck.server.recording import Recording
from quarterdeck.server.rules import rules_of
from quarterdeck.sim.checker import History
from quarterdeck.sim.children import SimChildren
from quarterdeck.sim.disk import Disk
from quarterdeck.sim.loop import LauncherLoop, SimClock, VirtualLoop
from quarterdeck.sim.network import Network, SimListener, Wire

if TYPE_CHECKING:
    import asyncio

    from quarterdeck.transport import Listener

PID: Final = 4242
VERSION: Final = "1.0.0"


class _Faults(Faults):
    """Nothing may break down, whatever the engine makes of it."""

    def __init__(self, on_fault: Callable[[str, BaseException], None]) -> None:
        super().__init__()
        self._on_fault = on_fault

    def note(self, doing: str, error: BaseException) -> None:
        """Tell the world."""
        self._on_fault(doing, error)


class SimLauncher:
    """`on_end` is called when it is dead, killed or not. `history` is what it told, `unkept` which versions it told
    while its journal failed, `was_killed` how it ended.
    """

    def __init__(
        self,
        config: Config,
        loop: VirtualLoop,
        network: Network,
        disk: Disk,
        draw: random.Random,
        *,
        plans: Sequence[ChildPlan],
        children: SimChildren,
        on_end: Callable[[], None],
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self.history = History()
        self.unkept: set[int] = set()
        self.was_killed = False
        self.has_ended = False
        self.run_id = f"{draw.getrandbits(128):032x}"
        self.loop = LauncherLoop(loop, self._died)
        self.clock = SimClock(loop.virtual, draw)
        self.listener = SimListener(network, self.loop)
        self._config = config
        self._network = network
        self._disk = disk
        self._on_end = on_end
        self._children = children
        self._wires: list[Wire] = []
        for_engine = cast("asyncio.AbstractEventLoop", self.loop)
        identity = Identity(PID, VERSION, self.run_id)
        self._acceptor = Acceptor(cast("Listener", self.listener), config, for_engine)
        self.recording = Recording(
            disk.open,
            identity,
            rules_of(config, self.clock.now()),
            config.limits,
            self.clock.now(),
            now_ms=self.clock.now_ms(),
        )
        self.engine = Engine(
            config,
            identity,
            State(self.recording.rules),
            self.clock,
            loop=for_engine,
            door=self._acceptor,
            journal=self.recording,
            supervision=children,
            on_stop=self._stop,
        )
        self.engine.faults = _Faults(on_fault)
        self._tell = self.engine.hub.tell
        self.engine.hub.tell = self._hear_and_tell  # type: ignore[method-assign]  # an ear at the only mouth
        self.loop.run(lambda: self._begin(plans))

    def _begin(self, plans: Sequence[ChildPlan]) -> None:
        adopted = self._children.begin(lambda seen: self.loop.run(lambda: self.engine.observe(seen, "child")))
        self.engine.observe(ChildrenConfigured(tuple(plans)), "child")
        for child in adopted:
            self.engine.observe(child, "child")
        self.engine.turn()
        self._acceptor.serve(self.engine)

    @property
    def was_failing(self) -> bool:
        """Whether its journal failed at any time, so that history may have a hole."""
        return self.recording.is_failing or bool(self.unkept)

    def connect(self) -> Wire:
        """A client connects."""
        wire = self.listener.connect()
        self._wires.append(wire)
        return wire

    def observe(self, observation: Any) -> None:
        """The launcher itself sees something: a signal."""
        self.loop.run(lambda: self.engine.observe(observation, "launcher"))

    def kill(self) -> None:
        """It is killed now, between two instructions."""
        self.loop.die()

    def _hear_and_tell(self, lines: Sequence[bytes], names: Sequence[str]) -> None:
        for line in lines:
            self.history.add(line)
            if self.recording.is_failing:
                self.unkept.add(self.history.head)
        self._tell(lines, names)

    # --- in good order

    def _stop(self) -> None:
        """The run is dead: what is due goes out for a while, then everything is closed, as the daemon does it."""
        self._acceptor.close()
        self.loop.call_later(self._config.limits.shutdown_flush, self._close)
        self._poll()

    def _poll(self) -> None:
        if not self.engine.peers:
            self._close()
        elif not self.has_ended:
            self.loop.call_later(0.01, self._poll)

    def _close(self) -> None:
        if self.has_ended:
            return
        for peer in list(self.engine.peers):
            peer.abort()
        self.engine.close()
        self.recording.close()
        self._end()

    # --- or not

    def _died(self) -> None:
        if self.has_ended:
            return
        self.was_killed = True
        self._acceptor.close()
        self.engine.close()
        self._end()

    def _end(self) -> None:
        self.has_ended = True
        self.loop.is_dead = True
        self._network.backlog.clear()
        for wire in self._wires:
            wire.launcher_ended()
        self._disk.let_go()
        self._children.launcher_ended(was_killed=self.was_killed)
        self._on_end()
