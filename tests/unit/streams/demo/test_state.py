"""What the demo knows."""

from __future__ import annotations

from collections.abc import Callable

from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.worker.subprocess import Samples

MakeSamples = Callable[..., Samples]


def test_metrics_become_numbers(state: DemoState, samples: MakeSamples) -> None:
    """Counters, gauges and rejects by reason are taken as the worker gives them."""
    state.observe(samples(90, 40, rejected={"malformed": 2, "missing_id": 0}, alerts_total=3), 1.0)
    assert (state.predictions, state.learned, state.alerts_counted) == (90, 40, 3)
    assert state.rejected_events == {"malformed": 2}
    assert state.latency_p50_seconds is None


def test_latency_comes_from_the_histogram(state: DemoState) -> None:
    """Half of 100 values lie below 10 ms, all of them below 20 ms."""
    name = "millrace_end_to_end_latency_seconds_bucket"
    bounds = {"0.01": 50.0, "0.02": 100.0, "+Inf": 100.0}
    state.observe(Samples([(name, {"le": le}, count) for le, count in bounds.items()]), 1.0)
    assert state.latency_p50_seconds == 0.01
    assert state.latency_p99_seconds is not None
    assert 0.0197 < state.latency_p99_seconds < 0.02


def test_accuracy_is_followed_by_examples(state: DemoState, samples: MakeSamples) -> None:
    """Each candidate has its curve of the rolling accuracy, and its cumulative one."""
    state.observe(samples(learned=100, accuracy={"hoeffding_tree": 0.8, "prior": 0.5}), 1.0)
    state.observe(samples(learned=200, accuracy={"hoeffding_tree": 0.9, "prior": 0.6}), 2.0)
    assert state.curves["hoeffding_tree"].readings == [(100, 0.8), (200, 0.9)]
    assert state.curves["prior"].last == 0.6
    assert state.overall == {"hoeffding_tree": 0.45, "prior": 0.3}
    assert state.curves["no_change"].last is None


def test_the_rate_is_that_of_the_last_seconds(state: DemoState, samples: MakeSamples) -> None:
    """What was long ago does not count."""
    assert state.events_per_second == 0.0
    for seconds, predictions in [(0.0, 0), (10.0, 0), (11.0, 300), (12.0, 600)]:
        state.observe(samples(predictions), seconds)
    assert state.events_per_second == 300.0


def test_phases_follow_what_is_sent(state: DemoState) -> None:
    """The drift is there with the first event after half of them."""
    assert state.phase is Phase.STARTING
    for _ in range(500):
        state.count_sent(Kind.EVENT)
    assert (state.phase, state.has_drifted) == (Phase.BEFORE_DRIFT, False)
    state.count_sent(Kind.EVENT)
    assert (state.phase, state.has_drifted) == (Phase.AFTER_DRIFT, True)


def test_bad_records_count_as_events_sent(state: DemoState) -> None:
    """They are on the same topic, and the accounts are those of the topic."""
    for kind in (Kind.EVENT, Kind.BAD, Kind.LABEL, Kind.LABEL):
        state.count_sent(kind)
    assert (state.events_sent, state.labels_sent) == (2, 2)


def test_only_the_newest_predictions_are_kept(
    state: DemoState, prediction: Callable[..., Prediction]
) -> None:
    """The view shows a few, and memory is bounded."""
    for number in range(100):
        state.add_prediction(prediction(str(number)))
    assert [each["event_id"] for each in state.newest_predictions] == [*map(str, range(92, 100))]


def test_an_alert_is_placed_by_its_event(state: DemoState, alert: Callable[..., Alert]) -> None:
    """The drift is at event 500 of 1,000."""
    assert state.events_after_drift(alert("540")) == 40
    assert state.events_after_drift(alert("400")) == -100
