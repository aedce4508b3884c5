"""What holds between the processes of a file: their names and replicas, who comes after whom, which one is the host."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import structs

from quarterdeck.deckfile.complaints import Complaints, below
from quarterdeck.deckfile.spec import ProcessSpec
from quarterdeck.deckfile.tables import NAME_PATTERN

PROCESSES_MAX: Final = 1_024

Written = Mapping[str, tuple[ProcessSpec, int]]
"""The processes of the file by name, each with how many of it there are."""


def is_name(text: str) -> bool:
    """Whether a process may be called so."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def replica_names(name: str, replicas: int) -> tuple[str, ...]:
    """What a process is called as it runs: its name alone, or NAME-1, NAME-2, …"""
    return (name,) if replicas == 1 else tuple(f"{name}-{number}" for number in range(1, replicas + 1))


def expand(complaints: Complaints, written: Written) -> tuple[ProcessSpec, ...]:
    """Every process as it runs, its `after` naming such. Complains of names taken twice, unknown names and cycles."""
    running = {name: replica_names(name, replicas) for name, (_, replicas) in written.items()}
    _check_names(complaints, running)
    _check_cycles(complaints, {name: _after(complaints, spec, running) for name, (spec, _) in written.items()})
    specs = []
    for name, (spec, _) in written.items():
        after = tuple(dict.fromkeys(each for before in spec.after for each in running.get(before, (before,))))
        specs += [structs.replace(spec, name=each, after=after) for each in running[name]]
    if len(specs) > PROCESSES_MAX:
        complaints.add("process", f"expected at most {PROCESSES_MAX} processes, replicas counted; found {len(specs)}")
    return tuple(specs)


def exit_from(complaints: Complaints, wanted: str, written: Written, specs: tuple[ProcessSpec, ...]) -> str | None:
    """The name of the process whose exit code counts; `host`, where none is called so, is the one of that kind."""
    names = [spec.name for spec in specs]
    path = "quarterdeck.exit_from"
    if wanted in names:
        return wanted
    if wanted in written:
        each = ", ".join(replica_names(wanted, written[wanted][1]))
        complaints.add(path, f"expected one process, found {wanted}, of which there are {each}")
    elif wanted == "host":
        hosts = [spec.name for spec in specs if spec.kind == "host"]
        if len(hosts) == 1:
            return hosts[0]
        complaints.add(path, f"expected one process of kind host, found {', '.join(hosts) or 'none'}")
    else:
        complaints.unknown(path, wanted, names, f'no process is called "{wanted}"')
    return None


def hosts_warning(specs: tuple[ProcessSpec, ...]) -> str | None:
    """What to say where more than one host would start: only one can be registered at a time."""
    hosts = [spec.name for spec in specs if spec.kind == "host" and spec.autostart]
    if len(hosts) < 2:
        return None
    remedy = "give all but one another kind, or autostart = false"
    return f"{', '.join(hosts)} are of kind host, and only one may be registered at a time; {remedy}"


def _check_names(complaints: Complaints, running: Mapping[str, tuple[str, ...]]) -> None:
    owners: dict[str, str] = {}
    for name, names in running.items():
        path = below("process", name)
        if not is_name(name):
            complaints.add(
                path, "expected a name of 1 to 64 letters, digits, `_`, `-` and `.`, not beginning with `-` or `.`"
            )
        elif not is_name(names[-1]):
            complaints.add(path, f"its replica {names[-1]} would have a name of more than 64 characters")
        for each in names:
            if each in owners:
                replica, other = (name, owners[each]) if len(names) > 1 else (owners[each], name)
                complaints.add(below("process", other), f"the name is taken by a replica of {replica}")
                break
            owners[each] = name


def _after(complaints: Complaints, spec: ProcessSpec, running: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The processes of the file that this one comes after; a replica's name stands for its process."""
    owners = {each: name for name, names in running.items() for each in names}
    found: list[str] = []
    for number, before in enumerate(spec.after):
        owner = before if before in running else owners.get(before)
        if owner is None:
            path = f"{below('process', spec.name)}.after[{number}]"
            complaints.unknown(path, before, running, f'no process is called "{before}"')
        else:
            found.append(owner)
    return found


def _check_cycles(complaints: Complaints, after: dict[str, list[str]]) -> None:
    """Complain of every cycle until none is left."""
    while True:
        try:
            graphlib.TopologicalSorter(after).prepare()
        except graphlib.CycleError as error:
            # Each comes before the next there, the first being the last; here each is to come after the next.
            ring = error.args[1][:0:-1]
            first = min(range(len(ring)), key=lambda place: list(after).index(ring[place]))
            cycle = [*ring[first:], *ring[:first]]
            complaints.add(
                f"{below('process', cycle[0])}.after",
                f"a cycle, of which none could start: {' -> '.join([*cycle, cycle[0]])}",
            )
            after[cycle[0]] = [name for name in after[cycle[0]] if name != [*cycle, cycle[0]][1]]
        else:
            return
