"""Every metric: its name, its labels, what it counts. They are an interface, and do not change.

A new metric is an entry here. `TALLIED` and `READINGS` match what operators count (`Tally`) and
what their state shows (`Reading`) to an entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

from millrace.schemas import Fate, RejectReason
from millrace.streams.control.commands import COMMANDS as _KNOWN_COMMANDS
from millrace.streams.operators.registry import BESIDE, OPERATORS
from millrace.streams.sources.envelopes.base import Says

PREFIX = "millrace_"

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class MetricName:
    """A metric, as Prometheus sees it.

    Parameters
    ----------
    name
        Without the prefix, and without the suffix of its kind, such as `_total`.
    kind
        Counter, gauge or histogram.
    documentation
        One sentence.
    labels
        In addition to `pipeline`, which every metric has.
    begins
        Values of the labels, where they are known beforehand: their counts begin at 0, so that
        `increase` sees the first of each.

    Examples
    --------
    >>> str(ALERTS), ALERTS.total, LATENCY.bucket
    ('millrace_alerts', 'millrace_alerts_total', 'millrace_end_to_end_latency_seconds_bucket')
    """

    name: str
    kind: Kind
    documentation: str
    labels: tuple[str, ...]
    begins: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return PREFIX + self.name

    @property
    def total(self) -> str:
        """Name of a counter's samples."""
        return f"{self}_total"

    @property
    def bucket(self) -> str:
        """Name of the samples of a histogram's buckets."""
        return f"{self}_bucket"

    @property
    def sum(self) -> str:
        """Name of the samples of a histogram's sum."""
        return f"{self}_sum"


def _counter(
    name: str, documentation: str, *labels: str, begins: Iterable[tuple[str, ...]] = ()
) -> MetricName:
    return MetricName(name, "counter", documentation, labels, tuple(begins))


def _gauge(name: str, documentation: str, *labels: str) -> MetricName:
    return MetricName(name, "gauge", documentation, labels)


def _histogram(name: str, documentation: str, *labels: str) -> MetricName:
    return MetricName(name, "histogram", documentation, labels)


_KINDS = [*product(("event", "label"))]
_REASONS = [(each.value,) for each in RejectReason]
_OF_EVENTS = {Fate.EXPIRED, Fate.EVICTED}
_COMMANDS = product((*_KNOWN_COMMANDS, "unknown"), ("accepted", "refused"))

RECORDS_RECEIVED = _counter("records_received", "Records read, by kind.", "kind", begins=_KINDS)
EVENTS_REJECTED = _counter("events_rejected", "Events in rejects.", "reason", begins=_REASONS)
LABELS_REJECTED = _counter("labels_rejected", "Labels in rejects.", "reason", begins=_REASONS)
TOMBSTONES_IGNORED = _counter(
    "tombstones_ignored", "Records without a value, ignored.", "kind", begins=_KINDS
)
ROWS_PASSED_OVER = _counter(
    "rows_passed_over",
    "Rows that changed or are gone, which are no events.",
    "says",
    begins=[(each.value,) for each in Says if each is not Says.IS],
)
LABELS = _counter(
    "labels",
    "Labels, by fate.",
    "fate",
    begins=[(each.value,) for each in Fate if each not in _OF_EVENTS],
)
EVENTS_EXPIRED = _counter(
    "events_expired",
    "Events that got no label in time.",
    "cause",
    begins=product(("ttl", "limit", "removed")),
)
EXAMPLES_LEARNED = _counter("examples_learned", "Examples learned from.", "model")
CANDIDATE_FAILURES = _counter(
    "candidate_failures", "Exceptions and invalid predictions of a candidate.", "candidate"
)
COMMANDS = _counter(
    "commands",
    "Commands that were accepted or refused.",
    "command",
    "result",
    begins=[*_COMMANDS, ("unreadable", "refused")],
)
INTERNAL_ERRORS = _counter(
    "internal_errors",
    "Records rejected by a fault of Millrace's own.",
    "operator",
    begins=product((*BESIDE, *OPERATORS, "encoding")),
)

PREDICTIONS = _counter("predictions", "Predictions published.", "model")
OUTCOMES = _counter(
    "outcomes",
    "Events and labels that have ended, by fate.",
    "fate",
    begins=[(each.value,) for each in Fate if each is not Fate.EARLY],
)
ALERTS = _counter("alerts", "Drift alerts.", "detector", "source")
LATENCY = _histogram(
    "end_to_end_latency_seconds", "From the event's Kafka timestamp to its committed prediction."
)

PREQUENTIAL_METRIC = _gauge(
    "prequential_metric",
    "Prequential metric of a candidate or baseline, in the metric's own unit.",
    *("partition", "candidate", "metric", "window"),
)
PREQUENTIAL_EXAMPLES = _gauge(
    "prequential_examples",
    "Examples behind the cumulative metrics.",
    *("partition", "candidate"),
)
PENDING = _gauge(
    "pending",
    "Events that wait for labels (event), labels for events (label) and others (held_label).",
    *("partition", "kind"),
)
MODEL_VERSION = _gauge(
    "model_version", "Most examples that a model of the partition has learned.", "partition"
)
WINDOWS_CUT = _gauge(
    "windows_cut",
    "Events so far that saw more values in a window than its max_events allows.",
    *("partition", "feature"),
)
WINDOWS_EVICTED = _gauge(
    "windows_evicted",
    "Entries of features' stores so far that were evicted: too many or too large.",
    *("partition", "store"),
)
DRIFT_UNWATCHED = _gauge(
    "drift_unwatched",
    "1 where a source had three alerts within 100,000 values, and is no longer watched.",
    *("partition", "source"),
)
MODELS = _gauge("models", "Model sets in memory.", "partition")
CANDIDATE_PROOF = _gauge(
    "candidate_proof",
    "How much of the proof is there that a candidate is better than the champion; 1 is a proof.",
    *("partition", "candidate"),
)
CANDIDATE_DIFFERENCE = _gauge(
    "candidate_difference",
    "By how much a candidate's mean loss is below the champion's, each loss in [0, 1].",
    *("partition", "candidate"),
)
COVERAGE = _gauge(
    "coverage",
    "How often labels were inside the interval, or set, that was published; of all, or the newest.",
    *("partition", "window"),
)
COVERAGE_WANTED = _gauge(
    "coverage_wanted", "How often they are to be, by the definition.", "partition"
)
CERTAINTY_SIZE = _gauge(
    "certainty_size",
    "Mean width of intervals, or mean number of classes in sets; of all, or the newest.",
    *("partition", "window"),
)

WORKERS_EXPECTED = _gauge(
    "workers_expected", "Processes that fold there should be, on all machines."
)
AGENT_BATCH_SECONDS = _histogram("agent_batch_seconds", "Time to fold and commit a batch.", "agent")
AGENT_BATCH_RECORDS = _histogram("agent_batch_records", "Records in a batch.", "agent")
CONSUMER_LAG_RECORDS = _gauge(
    "consumer_lag_records", "Records not read yet.", "agent", "topic", "partition"
)
AGENT_UP = _gauge("agent_up", "1 while an agent has its partitions.", "agent")
AGENT_RESTARTS = _counter("agent_restarts", "Restarts after an error.", "agent")
RECORDS_SKIPPED = _counter(
    "records_skipped", "Expired records that were skipped (accept_gaps).", "agent", "topic"
)
GAPS_ACCEPTED = _counter(
    "gaps_accepted",
    "Partitions that were read on behind a gap (accept_gaps).",
    "agent",
    "topic",
    "cause",
)
BROKER_ERRORS = _counter("broker_errors", "Broker errors that were retried.", "agent", "error")
STATE_REFUSED = _counter(
    "state_refused", "Saves of the state that the broker refused; predictions go on.", "agent"
)
STATE_SKIPPED = _counter(
    "state_records_skipped", "Records on state topics that are no state.", "agent", "topic"
)
STATE_LOST = _counter(
    "state_entries_lost", "Parts of saved state that cannot be read any more.", "agent"
)
SAVE_PAUSE_SECONDS = _histogram(
    "save_pause_seconds", "Time for which a save keeps an agent from its records.", "agent"
)
MODEL_SIZE_BYTES = _gauge("model_size_bytes", "Size of the last snapshot.", "partition")
SNAPSHOT_TIMESTAMP_SECONDS = _gauge(
    "snapshot_timestamp_seconds", "When state was last saved; Unix time.", "agent"
)
ARCHIVE_TIMESTAMP_SECONDS = _gauge(
    "archive_timestamp_seconds", "When a file was last written to the archive; Unix time.", "agent"
)
ARCHIVE_FAILURES = _counter(
    "archive_failures", "Failed attempts to write the archive; predictions go on.", "agent"
)
RESTORE_SECONDS = _gauge("restore_seconds", "Time to read state back.", "agent")
REPORT_AGE_SECONDS = _gauge(
    "report_age_seconds", "Age of what is shown of a process that folds.", "process"
)
PROCESS_RESTARTS = _counter("process_restarts", "Restarts of a process that folds.", "process")

TALLIED = {
    "received": RECORDS_RECEIVED,
    "rejected_event": EVENTS_REJECTED,
    "rejected_label": LABELS_REJECTED,
    "tombstone": TOMBSTONES_IGNORED,
    "passed_over": ROWS_PASSED_OVER,
    "label": LABELS,
    "expired": EVENTS_EXPIRED,
    "learned": EXAMPLES_LEARNED,
    "failed": CANDIDATE_FAILURES,
    "command": COMMANDS,
    "internal_error": INTERNAL_ERRORS,
}
"""Name that operators count under to the counter that shows it."""

GAP_CAUSES = ("expired", "recreated", "truncated")
"""Why records are not there any more."""

COMMON_ERRORS = ("_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TRANSPORT")
"""Kafka's names of the broker errors that are met most."""

READINGS = {
    each.name: each
    for each in (
        *(PREQUENTIAL_METRIC, PREQUENTIAL_EXAMPLES, PENDING, MODEL_VERSION, MODELS),
        *(CANDIDATE_PROOF, CANDIDATE_DIFFERENCE),
        *(COVERAGE, COVERAGE_WANTED, CERTAINTY_SIZE),
        *(WINDOWS_CUT, WINDOWS_EVICTED, DRIFT_UNWATCHED),
    )
}
"""Name of a reading to the gauge that shows it."""
