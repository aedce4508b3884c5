"""System processes: who is whose parent on this machine, and what each takes of it, by psutil.

Rules: the table is of one moment. Processor time is looked at twice, a short while apart: a share is of that while. Of
whom the system tells nothing (another user's process, one that ended meanwhile) there is no fact.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

import psutil
from msgspec import Struct

SAMPLE_S: Final = 0.2


class Fact(Struct):
    """What the system shows of a process: the share of a processor in percent, its memory (RSS), its command line."""

    began: float
    cpu_s: float
    cpu_percent: float
    memory_bytes: int
    command: str
    is_zombie: bool


class SystemProcesses:
    """The processes of one moment."""

    def __init__(self) -> None:
        self.now = time.time()
        self.parents: dict[int, int] = {}
        """The parent of each, by pid."""
        self._below: dict[int, list[int]] = {}
        for process in psutil.process_iter(["ppid"]):
            parent = process.info["ppid"] or 0
            self.parents[process.pid] = parent
            self._below.setdefault(parent, []).append(process.pid)

    def children(self, pid: int) -> list[int]:
        """Its direct children, by pid."""
        return sorted(self._below.get(pid, ()))

    def descendants(self, pid: int, depth: int = 1) -> Iterator[tuple[int, int]]:
        """Everybody below it, each before who is below that, with how deep they are."""
        for child in self.children(pid):
            if child != pid:
                yield child, depth
                yield from self.descendants(child, depth + 1)

    def facts(self, pids: Iterable[int], sample_s: float = SAMPLE_S) -> dict[int, Fact]:
        """What they take. Lasts `sample_s`."""
        began = time.monotonic()
        processes: dict[int, psutil.Process] = {}
        facts: dict[int, Fact] = {}
        for pid in pids:
            try:
                processes[pid] = psutil.Process(pid)
                facts[pid] = _fact(processes[pid])
            except psutil.Error:
                continue
        time.sleep(max(0.0, began + sample_s - time.monotonic()))
        for pid, fact in facts.items():
            try:
                fact.cpu_percent = 100 * (_cpu_s(processes[pid]) - fact.cpu_s) / max(sample_s, time.monotonic() - began)
            except psutil.Error:
                continue
        return facts


def command_of(pid: int) -> str:
    """Its command line, empty where it is not to be had."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def variable_of(pid: int, name: str) -> str | None:
    """A variable of its environment, as it was when its program began; None where it is not to be had."""
    try:
        return psutil.Process(pid).environ().get(name)
    except psutil.Error:
        return None


def cgroup_of(pid: int | None) -> str | None:
    """Its cgroup (v2); None where there is none, or it is not to be had. Source: cgroups(7), /proc/[pid]/cgroup."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    except OSError:
        return None


def _fact(process: psutil.Process) -> Fact:
    with process.oneshot():
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        command = "" if is_zombie else " ".join(process.cmdline())
        memory = 0 if is_zombie else process.memory_info().rss
        return Fact(process.create_time(), _cpu_s(process), 0.0, memory, command or process.name(), is_zombie)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
