"""How a run is measured: with a consumer that sees what the test decides, and real processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import measure
from bench.data import Record
from bench.measure import Run
from bench.parts.latency import latencies, taken_per_second
from bench.parts.throughput import spent_between, to_bare
from bench.process import Process, used

RECORDS = [Record(b"key", b"value", 0)] * 10


class FakeMessage:
    def __init__(self, error: str | None = None) -> None:
        self._error = error

    def error(self) -> str | None:
        return self._error


class FakeConsumer:
    """Makes so many predictions visible with each poll, and then none."""

    def __init__(self, *visible: int) -> None:
        self._visible = [*visible]

    def consume(self, most: int, _timeout_seconds: float) -> list[FakeMessage]:
        time.sleep(0.001)
        found = self._visible.pop(0) if self._visible else 0
        if found > most:
            self._visible.insert(0, found - most)
        return [FakeMessage()] * min(found, most) + [FakeMessage("broker is down")]


class FakeBroker:
    """Notes what is written; each time it is asked, its groups have one member more."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []
        self._members = 0

    def fill(self, topic: str, records) -> None:
        self.written.append((topic, len(records)))

    @contextmanager
    def prepare(self, topic: str, records) -> Iterator[object]:
        yield lambda: self.fill(topic, records)

    def members(self, _prefix: str) -> int:
        self._members += 1
        return self._members


class FakeProcess:
    """A process that is alive for so many looks."""

    def __init__(self, alive: int = 1_000_000) -> None:
        self.pid = 0  # has no folder in /proc
        self._alive = alive

    def check_alive(self) -> None:
        self._alive -= 1
        if self._alive < 0:
            raise RuntimeError("it exited")

    def last_lines(self) -> str:
        return "its last lines"


@pytest.fixture
def started(job):
    """Start a run with fakes, which make so many predictions visible with each poll."""

    def make(*visible: int, processes: int = 1, alive: int = 1_000_000) -> Run:
        workers = [FakeProcess(alive) for _ in range(processes)]
        return Run(FakeBroker(), job, workers, FakeConsumer(*visible))

    return make


def test_a_run_counts_what_becomes_visible(started):
    """The warm-up comes before the clock, errors are no predictions, and time stops at the last."""
    run = started(4, 6, 3, 7)
    run.warm_up(RECORDS)
    found = run.measure(RECORDS, limit_seconds=60)
    assert run.broker.written == [("bench-1.events", 10), ("bench-1.events", 10)]
    assert (found["first"], found["last"]) == (10, 20)
    assert found["events_per_second"] == pytest.approx(10 / found["seconds"])
    assert 0.002 <= found["seconds"] < 1
    assert found["cpu_seconds_per_million"] is None
    assert found["peak_rss_bytes"] is None
    assert 0.001 <= found["longest_pause_seconds"] <= found["seconds"]


def test_a_run_ends_at_the_limit(started):
    """What was predicted until then counts, and the clock stops with the last of it."""
    run = started(4)
    found = run.measure(RECORDS, limit_seconds=0.05)
    assert (found["first"], found["last"]) == (0, 4)
    assert found["seconds"] < 0.04


def test_labels_are_not_predicted(started):
    """Where labels come later, a run waits for the predictions of the events among its records."""
    label = Record(b"key", b"value", 0, is_event=False)
    run = started(4, 6)
    run.warm_up([*RECORDS[:4], label])
    found = run.measure([*RECORDS[:6], label], limit_seconds=60)
    assert (found["first"], found["last"]) == (4, 10)


def test_a_run_without_predictions_fails(started):
    """There is no rate to report."""
    with pytest.raises(RuntimeError, match="timed out after 0 s with 0 of 10 predictions visible"):
        started().measure(RECORDS, limit_seconds=0.01)


def test_a_run_that_stalls_fails(started, monkeypatch):
    """What it predicted before is no rate, and the last log lines say why."""
    monkeypatch.setattr(measure, "_STALL_SECONDS", 0.02)
    with pytest.raises(RuntimeError, match="with 4 of 10 predictions visible; its last lines"):
        started(4).measure(RECORDS, limit_seconds=0.1)


def test_a_warm_up_times_out(started, monkeypatch):
    """The error has the numbers and the last log lines."""
    monkeypatch.setattr(measure, "_READY_SECONDS", 0.01)
    with pytest.raises(RuntimeError, match="3 of 10 predictions visible; its last lines"):
        started(3).warm_up(RECORDS)


def test_a_contestant_that_exits_ends_its_run(started):
    """Nobody waits for the limit."""
    with pytest.raises(RuntimeError, match="it exited"):
        started(1, alive=3).measure(RECORDS, limit_seconds=60)


def test_workers_share_the_work_before_it_starts(started):
    """Until every process has partitions, nothing is written."""
    run = started(10, processes=3)
    run.warm_up(RECORDS)
    assert run.broker.members("") == 4


def test_polls_at_once_return_with_the_first_record(started):
    """Each record is seen by itself, when it is visible."""
    run = started(1, 0, 1)
    run.wait(2, 60, at_once=True)
    assert [count for _, count in run.seen] == [1, 2]


def test_a_pause_is_a_time_without_new_predictions():
    """Polls that found nothing belong to it; it ends with the last prediction."""
    seen = [(1.0, 5), (2.0, 5), (2.5, 7), (4.0, 7), (4.5, 7), (5.0, 8), (9.0, 8)]
    assert measure.longest_pause(seen) == 2.5
    assert measure.longest_pause([(1.0, 5), (3.0, 6)]) == 2.0


def test_more_events_may_take_longer_to_warm_up():
    """500 events per second are slow enough for any contestant."""
    assert measure.ready_seconds(1000) - measure.ready_seconds(0) == 2.0


def test_the_bare_loop_is_compared_over_the_same_events():
    """A contestant that stopped early is not compared with events that it never saw."""
    marks = [(0, 0.0, 0.0), (250, 1.0, 0.5), (500, 4.0, 2.5)]
    assert spent_between(marks, 0, 250) == (1.0, 0.5)
    assert spent_between(marks, 250, 500) == (3.0, 2.0)
    assert spent_between(marks, 125, 10_000) == (3.5, 2.25)
    found = {"first": 250, "last": 500, "seconds": 6.0, "cpu_seconds_per_million": 16_000.0}
    assert to_bare(found, marks) == {"ratio_to_bare": 0.5, "cpu_ratio_to_bare": 0.5}
    unknown = {**found, "cpu_seconds_per_million": None}
    assert to_bare(unknown, marks) == {"ratio_to_bare": 0.5, "cpu_ratio_to_bare": None}


def test_latency_runs_from_due_to_visible():
    """Events that become visible together have waited for different times."""
    assert latencies([(1.0, 10), (1.5, 12), (3.5, 13)], rate=1.0).tolist() == [0.5, -0.5, 0.5]


def test_the_rate_of_a_stretch_is_what_became_visible_in_it():
    """What was visible before it does not count."""
    seen = [(0.0, 10), (1.5, 12), (3.0, 18), (4.0, 30)]
    assert taken_per_second(seen, begin=1.0, end=3.0) == 4.0


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def deadline(condition, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_process_has_its_job_and_none_of_millraces_settings(job, monkeypatch):
    """Its own output is in the error when it exits."""
    monkeypatch.setenv("MILLRACE_CHAIN", "split")
    text = "import os; print('MILLRACE_CHAIN' in os.environ, 'bench-1' in os.environ['BENCH_JOB'])"
    with Process(script(f"{text}; raise SystemExit(3)"), job) as process:
        deadline(lambda: process._process.poll() is not None)
        with pytest.raises(RuntimeError, match=r"exited with 3: False True"):
            process.check_alive()


def test_a_process_is_observed_and_stopped(job):
    """Its CPU time and memory are read while it runs; then it is gone, and so is its folder."""
    with Process(script("import time; print('here', flush=True); time.sleep(600)"), job) as process:
        deadline(lambda: process.last_lines() == "here")
        process.check_alive()
        found = used([process])
        assert found is None or (found[0] >= 0 and found[1] > 1_000_000)
    assert process._process.poll() == -15
    assert not process._log.exists()


def test_what_a_process_has_started_counts_after_its_end(job):
    """CPU time of a child that has ended is that of the process which waited for it."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    text = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}])"
    with Process(script(f"{text}; print('done', flush=True); time.sleep(600)"), job) as process:
        deadline(lambda: process.last_lines() == "done")
        found = used([process])
        assert found is None or found[0] >= 0.2


def test_a_process_that_is_gone_has_used_nothing_that_can_be_read():
    """Without /proc, or without the process, there are no figures."""
    assert used([FakeProcess()]) is None
