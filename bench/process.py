"""How contestants run: in processes and virtual environments of their own."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from bench.job import Job
from bench.results import Result

REPOSITORY = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 20.0
_LAST_LINES = 5
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
_CPU_TIMES = slice(11, 15)  # utime, stime, cutime and cstime; see proc_pid_stat(5)


class Process:
    """A contestant's process, in a temporary folder of its own."""

    def __init__(self, command: Sequence[str], job: Job) -> None:
        self._command = " ".join(command[1:])
        self._folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=_environment(job),
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the benchmark, which stops it
            )
        self.pid = self._process.pid

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def check_alive(self) -> None:
        """Raise RuntimeError with the last log lines if the process has exited."""
        code = self._process.poll()
        if code is not None:
            raise RuntimeError(f"`{self._command}` exited with {code}: {self.last_lines()}")

    def last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or "its log is empty"


def run_in_memory(subject: str, job: Job) -> Result:
    """Run a module of `bench.subjects` that needs no broker; return the JSON that it prints."""
    command = [sys.executable, "-P", "-m", f"bench.subjects.{subject}"]
    printed = subprocess.check_output(command, env=_environment(job))
    return dict(json.loads(printed))


def _environment(job: Job) -> dict[str, str]:
    """Return this process' environment with the job, and without settings of Millrace."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("MILLRACE_")}
    given = {"PYTHONPATH": str(REPOSITORY), "MILLRACE_STATE_KEY": "bench"}
    return {**inherited, **given, **job.as_environment()}


def used(processes: Iterable[Process]) -> tuple[float, int] | None:
    """Return the CPU seconds and the peak memory in bytes of processes; None without `/proc`.

    CPU time is that of user and system. Theirs are the processes that they have started, too, and
    the CPU time of those that have ended since.
    """
    groups = {each.pid for each in processes}  # each began a session, and so a group
    if not all(Path(f"/proc/{pid}").exists() for pid in groups):
        return None
    seconds, peak_bytes = 0.0, 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) not in groups:
                continue
            seconds += sum(map(int, fields[_CPU_TIMES])) / os.sysconf("SC_CLK_TCK")
            peak = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
            peak_bytes += int(peak[1]) * 1024 if peak else 0
    return seconds, peak_bytes


def peak_rss_bytes() -> int:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES


@cache
def interpreter(name: str) -> str:
    """Return the Python that has what bench/requirements-<name>.txt pins; install it if needed."""
    requirements = REPOSITORY / "bench" / f"requirements-{name}.txt"
    folder = REPOSITORY / ".bench" / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"Installing {name} into .bench/{name}: once, about a minute")
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        stamp.write_text(requirements.read_text())
    return str(python)
