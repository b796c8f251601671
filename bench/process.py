"""What a contestant's processes have used: CPU time and memory, from Linux' `/proc`.

Elsewhere both are None, and the tables show a dash.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def cpu_seconds(pids: Iterable[int]) -> float | None:
    """Return the CPU time, user and system, that processes have used so far."""
    used = [_cpu_seconds(pid) for pid in pids]
    known = [each for each in used if each is not None]
    return sum(known) if known and len(known) == len(used) else None


def peak_rss_bytes(pids: Iterable[int]) -> int | None:
    """Return the sum of the most memory that each process has had."""
    peaks = [_peak_bytes(pid) for pid in pids]
    known = [each for each in peaks if each is not None]
    return sum(known) if known and len(known) == len(peaks) else None


def _cpu_seconds(pid: int) -> float | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(pid: int) -> int | None:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", (_PROC / str(pid) / "status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
