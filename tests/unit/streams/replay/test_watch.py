"""How far a worker is, from its metrics; and when it cannot finish."""

from __future__ import annotations

import pytest
from river import anomaly

from millrace.schemas import BrokerError
from millrace.streams.observability.scraping import Samples
from millrace.streams.replay.watch import Watch
from millrace.streams.settings import read_settings

UP = ("millrace_agent_up", {"agent": "ingest"}, 1.0)


class FakeWorker:
    """A worker with the metrics that a test sets."""

    def __init__(self):
        self.samples = [UP]
        self.fails = True

    def metrics(self):
        return Samples(self.samples)

    def failing(self):
        return {"ingest": "BrokerError: records were dropped"} if self.fails else {}

    def last_lines(self):
        return "the last line"

    def has(self, *, events=0, labels=0, predictions=0, learned=0, **more):
        self.samples = [
            UP,
            ("millrace_records_received_total", {"kind": "event"}, float(events)),
            ("millrace_records_received_total", {"kind": "label"}, float(labels)),
            ("millrace_predictions_total", {"model": "own"}, float(predictions)),
            ("millrace_examples_learned_total", {"model": "own"}, float(learned)),
            *((name, labels_, value) for name, (labels_, value) in more.items()),
        ]


class Clock:
    """Seconds that pass when a test sets them."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def worker():
    return FakeWorker()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_watch(worker, clock, make_pipeline):
    def make(chain="full", broker="embedded://here", **changes):
        settings = read_settings(broker=broker, chain=chain)
        pipeline = make_pipeline(changes.pop("task", "binary"), **changes)
        return Watch(worker, pipeline, settings, clock=clock)

    return make


def test_nothing_is_missing_when_all_is_predicted_and_learned(worker, make_watch):
    """Events with labels inside: as many received, predicted and learned as sent."""
    worker.has(events=3, labels=3, predictions=3, learned=3)
    assert make_watch().look(3, 0).missing(3, 0) == []


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ({"events": 2, "predictions": 3}, "1 events not read"),
        ({"events": 3, "predictions": 2}, "1 events neither predicted nor rejected"),
        (
            {"events": 3, "predictions": 3, "labels": 3, "learned": 1},
            "2 labels neither learned nor rejected",
        ),
    ],
)
def test_what_is_missing_is_named(worker, make_watch, there, missing):
    """An error says what the worker has yet to do."""
    worker.has(**there)
    assert make_watch().look(3, 0).missing(3, 0) == [missing]


def test_everything_that_is_missing_is_in_the_error(worker, make_watch, clock):
    """Separated by commas."""
    watch = make_watch()
    worker.has(events=2, predictions=2)
    watch.look(3, 1)
    clock.now = 61.0
    with pytest.raises(
        BrokerError, match=r"1 events not read, 1 events neither .*, 1 labels neither"
    ):
        watch.look(3, 1)


def test_labels_not_read_yet_are_missing(worker, make_watch):
    """Label records of their own count when they are sent, not when they are read."""
    worker.has(events=3, labels=1, predictions=3, learned=1)
    assert make_watch().look(3, 3).missing(3, 3) == ["2 labels neither learned nor rejected"]


def test_rejects_and_held_labels_are_not_missing(worker, make_watch):
    """The label of a rejected event waits forever."""
    worker.has(
        events=3,
        labels=3,
        predictions=2,
        learned=1,
        millrace_events_rejected_total=({"reason": "feature_error"}, 1.0),
        millrace_labels_rejected_total=({"reason": "learn_error"}, 1.0),
        millrace_pending=({"kind": "label"}, 1.0),
    )
    assert make_watch().look(3, 0).missing(3, 0) == []


def test_an_early_label_that_is_corrected_is_not_missing(worker, make_watch):
    """The correction replaces it, and it will never be learned."""
    corrected = ({"fate": "corrected"}, 1.0)
    worker.has(events=2, labels=3, predictions=2, learned=2, millrace_labels_total=corrected)
    assert make_watch().look(2, 3).missing(2, 3) == []


@pytest.mark.parametrize(
    "more",
    [
        {"millrace_pending": ({"kind": "held_label"}, 1.0)},
        {"millrace_labels_total": ({"fate": "overruled"}, 1.0)},
    ],
    ids=["held", "overruled"],
)
def test_labels_that_are_held_for_others_are_not_missing(worker, make_watch, more):
    """Nobody moves time on after the last row of a table (`label_conflicts`)."""
    worker.has(events=2, labels=3, predictions=2, learned=2, **more)
    assert make_watch().look(2, 3).missing(2, 3) == []


def test_models_that_learn_without_labels_learn_every_event(worker, make_watch):
    """Each prediction is an example, besides the labels."""
    worker.has(events=3, predictions=3, learned=2)
    pipeline = {"label": None, "models": {"trees": lambda: anomaly.HalfSpaceTrees(seed=1)}}
    watch = make_watch(task="anomaly", **pipeline)
    assert watch.look(3, 0).missing(3, 0) == ["1 labels neither learned nor rejected"]


def test_predictions_that_the_drift_agent_has_not_read_are_missing(worker, make_watch):
    """Its alerts are part of the report, and its input must not overflow."""
    read = ({"agent": "drift"}, 1.0)
    worker.has(events=3, labels=3, predictions=3, learned=3, millrace_agent_batch_records_sum=read)
    progress = make_watch("default").look(3, 0)
    assert progress.unread == 2
    assert progress.missing(3, 0) == ["2 predictions or examples not read"]
    assert make_watch("full").look(3, 0).unread == 0
    worker.has(predictions=3, millrace_agent_batch_records_sum=({"agent": "drift"}, 4.0))
    assert make_watch("default").look(3, 0).unread == 0, "its samples are newer"


def test_an_agent_of_learning_and_drift_reads_both(worker, make_watch):
    """It is behind by the examples and the predictions that it has not read."""
    worker.has(
        events=3,
        labels=3,
        predictions=3,
        learned=3,
        millrace_labels_total=({"fate": "joined"}, 3.0),
        millrace_agent_batch_records_sum=({"agent": "learning-drift"}, 5.0),
    )
    assert make_watch("ingest+feature,prediction,learning+drift").look(3, 0).unread == 1


def test_a_failed_agent_is_an_error_on_the_embedded_broker(worker, make_watch):
    """What that broker has dropped cannot be read again; any other one has it still."""
    worker.has(millrace_agent_restarts_total=({"agent": "ingest"}, 1.0))
    with pytest.raises(BrokerError, match="agent ingest: BrokerError: records were dropped"):
        make_watch().look(3, 0)
    make_watch(broker="localhost:9092").look(3, 0)


def test_no_progress_for_long_is_an_error_that_says_what_is_missing(worker, make_watch, clock):
    """A stall is an error that names what has not come."""
    watch = make_watch()
    worker.has(events=3, predictions=2)
    watch.look(3, 0)
    clock.now = 59.0
    watch.look(3, 0)
    clock.now = 60.0
    watch.look(3, 0)
    clock.now = 61.0
    expected = "no progress for 60 s, with 1 events neither predicted nor rejected: agent ingest: "
    with pytest.raises(BrokerError, match=expected):
        watch.look(3, 0)


def test_a_stall_without_a_failing_agent_shows_the_log(worker, make_watch, clock):
    """The end of the worker's log is all that there is to say."""
    worker.fails = False
    watch = make_watch()
    watch.look(1, 0)
    clock.now = 61.0
    with pytest.raises(BrokerError, match="the end of its log is: the last line"):
        watch.look(1, 0)


def test_waiting_with_nothing_to_do_is_no_stall(worker, make_watch, clock):
    """The time counts from when something is missing."""
    watch = make_watch()
    worker.has(events=3, predictions=3)
    watch.look(3, 0)
    clock.now = 100.0
    watch.look(3, 0)
    clock.now = 150.0
    watch.look(4, 0)


def test_a_model_that_moves_within_a_batch_is_no_stall(worker, make_watch, clock):
    """A slow model changes its version long before the batch is committed."""
    watch = make_watch()
    for version in range(5):
        clock.now = version * 50.0
        worker.has(events=3, millrace_model_version=({"partition": "0"}, float(version)))
        watch.look(3, 0)


def test_a_worker_too_busy_to_answer_keeps_its_samples(worker, make_watch):
    """No answer does not mean that nothing was done."""
    watch = make_watch()
    worker.has(events=3, predictions=3)
    watch.look(3, 0)
    worker.samples = []
    assert watch.look(3, 0).events == 3
    assert watch.samples.total("millrace_predictions_total") == 3
