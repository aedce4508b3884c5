"""The simulator: the real reducer, engine, hub, journal and client sessions, in a world of seeded chance.

    loop      a virtual clock: time passes when nothing is left to do
    network   connections that delay, split, stall and break
    disk      a journal whose disk fills up, and where a launcher dies
    launcher  the real parts of one run, put together
    children  a guard without processes
    actors    clients, hosts and troublemakers, each a small program drawn from the seed
    checker   what one connection may be told, line by line; and what a journal must hold
    world     all of it, from one seed to one Outcome

One seed and one state of the sources give the same world, bit for bit: no clock, no entropy, no process of the
machine's comes in, and the only files are the journal's, in a folder of its own.
"""

from __future__ import annotations

from quarterdeck.sim.checker import Violation
from quarterdeck.sim.world import Outcome, simulate

__all__ = ["Outcome", "Violation", "simulate"]
