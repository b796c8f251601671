"""The histogram of latencies equals that of `prometheus_client`."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from millrace.streams.observability.latency import LATENCY_BUCKETS_SECONDS, LatencyHistogram

seconds = st.floats(min_value=-1, max_value=1e4) | st.sampled_from(LATENCY_BUCKETS_SECONDS)


@settings(max_examples=50)
@given(batches=st.lists(st.lists(seconds, max_size=20), max_size=5))
def test_latency_histogram_is_prometheus_own(batches: list[list[float]]) -> None:
    """In batches or one by one, buckets, count and sum are those of `prometheus_client`."""
    theirs = Histogram(
        "x_seconds",
        "x",
        ["pipeline"],
        buckets=LATENCY_BUCKETS_SECONDS,
        registry=CollectorRegistry(),
    )
    ours = LatencyHistogram("x_seconds", "x", {"pipeline": "p"})
    for batch in batches:
        ours.observe(Counter(batch).items())
        for each in batch:
            theirs.labels("p").observe(each)
    theirs.labels("p")
    (our_family,), (their_family,) = ours.collect(), theirs.collect()
    expected = [each for each in their_family.samples if not each.name.endswith("_created")]
    assert [(each.name, each.labels) for each in our_family.samples] == [
        (each.name, each.labels) for each in expected
    ]
    for our_sample, their_sample in zip(our_family.samples, expected, strict=True):
        assert math.isclose(our_sample.value, their_sample.value, rel_tol=1e-9, abs_tol=1e-9)


def test_buckets_are_from_a_millisecond_to_a_minute() -> None:
    """In ascending order, and fine enough for quantiles."""
    assert (LATENCY_BUCKETS_SECONDS[0], LATENCY_BUCKETS_SECONDS[-1]) == (0.001, 60.0)
    assert [*LATENCY_BUCKETS_SECONDS] == sorted({*LATENCY_BUCKETS_SECONDS})
    steps = pairwise(LATENCY_BUCKETS_SECONDS)
    assert max(above / below for below, above in steps) <= 3.0001
