"""What the demo knows."""

from __future__ import annotations

from collections.abc import Callable

from millrace.models.pipelines.loans import pipeline
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.record import AlertRecord, Origin, PredictionRecord

MakeSamples = Callable[..., Samples]


def test_metrics_become_numbers(state: DemoState, samples: MakeSamples) -> None:
    """Counters and gauges are taken as they are, rejects by reason if there are any."""
    more = {names.ALERTS.total: 3.0}
    state.observe(samples(90, 40, rejected={"malformed": 2, "missing_id": 0}, more=more), 1.5)
    assert (state.predicted, state.learned, state.alerts_raised) == (90, 40, 3)
    assert (state.rejected_events, state.rejected, state.seconds) == ({"malformed": 2}, 2, 1.5)


def test_rejected_and_waiting_labels_are_told_from_events(state: DemoState) -> None:
    """Each has its own metric or its own kind."""
    pending = str(names.PENDING)
    state.observe(
        Samples(
            [
                (names.LABELS_REJECTED.total, {"reason": "late_label"}, 2.0),
                (pending, {"kind": "event"}, 300.0),
                (pending, {"kind": "label"}, 7.0),
            ]
        ),
        1.0,
    )
    assert (state.rejected_labels, state.rejected_events) == ({"late_label": 2}, {})
    assert state.unlabelled == 300


def test_latency_comes_from_the_histogram(state: DemoState) -> None:
    """Half of 100 values are below 10 ms, all of them below 20 ms; before, it is unknown."""
    assert (state.median_seconds, state.p99_seconds) == (None, None)
    bounds = {"0.01": 50.0, "0.02": 100.0, "+Inf": 100.0}
    buckets = [(names.LATENCY.bucket, {"le": le}, count) for le, count in bounds.items()]
    state.observe(Samples(buckets), 1.0)
    assert state.median_seconds == 0.01
    assert state.p99_seconds is not None
    assert 0.0197 < state.p99_seconds < 0.02


def test_curves_grow_with_the_labels_learned(state: DemoState, samples: MakeSamples) -> None:
    """Each candidate has its rolling accuracy over time; nothing is added while none is learned."""
    for learned, accuracy in [(0, 0.1), (100, 0.8), (100, 0.8), (200, 0.9)]:
        state.observe(samples(0, learned, {"hoeffding_tree": accuracy, "prior": 0.5}), 1.0)
    assert state.curves["hoeffding_tree"] == [(100, 0.8), (200, 0.9)]
    assert state.curves["no_change"] == []
    assert [*state.curves] == [*pipeline.models, "no_change", "prior"]
    assert state.rolling == {"hoeffding_tree": 0.9, "prior": 0.5}
    assert state.overall == {"hoeffding_tree": 0.45, "prior": 0.25}


def test_the_rate_is_that_of_the_last_seconds(state: DemoState, samples: MakeSamples) -> None:
    """The wait for the worker and older readings do not count."""
    assert state.events_per_second == 0.0
    state.observe(samples(0), 3.0)
    state.observe(samples(50), 4.0)
    assert state.events_per_second == 0.0
    state.observe(samples(100), 5.0)
    assert state.events_per_second == 50.0
    for number in range(12):
        state.observe(samples(1_000 + 300 * number), 6.0 + number)
    assert state.events_per_second == 300.0


def test_phases_follow_the_events_sent(state: DemoState) -> None:
    """The drift begins with the first event after half of them."""
    assert state.phases == [Phase.STARTING]
    state.count_sent(Kind.LABEL)
    assert state.phases == [Phase.STARTING]
    for _ in range(500):
        state.count_sent(Kind.EVENT)
    assert (state.phases[1:], state.has_drifted) == ([Phase.BEFORE_DRIFT], False)
    for _ in range(2):
        state.count_sent(Kind.EVENT)
    assert (state.phases[2:], state.has_drifted) == ([Phase.AFTER_DRIFT], True)


def test_invalid_records_count_as_events_sent(state: DemoState) -> None:
    """They are on the same topic, and the accounts are those of the topic."""
    for kind in (Kind.EVENT, Kind.INVALID, Kind.LABEL, Kind.LABEL):
        state.count_sent(kind)
    assert (state.events_sent, state.sent[Kind.LABEL]) == (2, 2)


def test_records_of_the_topics_are_kept(
    state: DemoState, alert: Callable[..., Alert], prediction: Callable[..., Prediction]
) -> None:
    """Alerts all of them; predictions are counted, and only the newest kept: memory is bounded."""
    origin = Origin("predictions", 0, 0, 0, None, None)
    for number in range(100):
        state.add(PredictionRecord(prediction(str(number)), origin))
    state.add(AlertRecord(alert(), origin))
    assert state.predictions_read == 100
    assert [each["event_id"] for each in state.newest_predictions] == [*map(str, range(92, 100))]
    assert state.alerts == [alert()]
