"""What processes have cost, as the kernel counts it. Linux only: it reads /proc."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # per second: what a sum is exact to
PROC = Path("/proc")


def cpu_seconds(root: int) -> float:
    """CPU time of a process and all its descendants so far, user and system.

    Children that have ended count through the parent that waited for them. Errors:
    KeyError once `root` is gone.
    """
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid))}
    tree, found = {root}, {root}
    while found:
        found = {pid for pid, stat in stats.items() if int(stat[1]) in tree} - tree
        tree |= found
    return sum(_ticks(stats[pid]) for pid in tree) / TICKS


def peak_mb() -> float:
    """The most memory that this process has had, in MB.

    Not getrusage's, which begins with what the parent had when it made this process.
    """
    status = (PROC / "self/status").read_text().splitlines()
    [most] = [line for line in status if line.startswith("VmHWM:")]
    return int(most.split()[1]) / 1_000


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name; none for one that has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()  # the name itself may hold spaces


def _ticks(stat: list[str]) -> int:
    """utime, stime, and the same of children that were waited for."""
    return sum(map(int, stat[11:15]))
