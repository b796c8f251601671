"""River's own data sets come as tables, with nothing downloaded."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from river import datasets

from millrace.models.pipeline.tasks import Task
from millrace.models.tables.datasets import bundled_names, load_bundled
from millrace.models.tables.rows import records
from millrace.schemas import DefinitionError

LABELS = {
    "AirlinePassengers": "passengers",
    "Bananas": "label",
    "ChickWeights": "weight",
    "ImageSegments": "category",
    "Phishing": "is_phishing",
    "SP500Stocks": "next_day_return",
    "Shuttle": "anomaly",
    "TrumpApproval": "five_thirty_eight",
    "WaterFlow": "water_flow",
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any connection an error."""

    def refuse(*args: Any) -> None:
        raise AssertionError("a data set was downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_one_of_each_task_is_there() -> None:
    """Sets that are part of River, with one label; none that it downloads or that have several."""
    assert bundled_names() == tuple(sorted(LABELS))


@pytest.mark.parametrize(
    ("name", "rows", "label", "task"),
    [
        ("Phishing", 1_250, "is_phishing", Task.BINARY),
        ("ImageSegments", 2_310, "category", Task.MULTICLASS),
        ("TrumpApproval", 1_001, "five_thirty_eight", Task.REGRESSION),
        ("Shuttle", 49_097, "anomaly", Task.ANOMALY),
        ("Bananas", 5_300, "label", Task.BINARY),
    ],
)
def test_rows_label_and_task(name: str, rows: int, label: str, task: Task) -> None:
    """All rows are there, the label comes last, and the task is the set's."""
    frame, label_found, task_found = load_bundled(name)
    assert (len(frame), label_found, task_found) == (rows, label, task)
    assert frame.columns[-1] == label


@pytest.mark.parametrize("name", [each for each in LABELS if each != "Shuttle"])
def test_labels_are_named_as_in_the_file(name: str) -> None:
    """The column of the label has the name that River's own file gives it."""
    assert load_bundled(name)[1] == LABELS[name]


@pytest.mark.parametrize("name", [each for each in bundled_names() if each != "Shuttle"])
def test_events_are_rivers_rows(name: str) -> None:
    """Row by row, in order, events hold the values that River gives, as plain Python."""
    frame, _, _ = load_bundled(name)
    events = [*records(frame, "event_id")]
    source = getattr(datasets, name)()
    assert len(events) == source.n_samples
    for event, (x, y) in zip(events, source, strict=True):
        values = [*event.values()][1:]
        assert {type(each) for each in values} <= {bool, int, float, str}
        assert values[-1] == y
        for value, wanted in zip(values, x.values(), strict=False):
            assert value == wanted or isinstance(value, int)  # dates end as milliseconds


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the local time zone one that is not UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_dates_are_milliseconds_since_the_epoch() -> None:
    """A date without a zone is UTC, one with a zone is converted."""
    month = next(records(load_bundled("AirlinePassengers")[0], "id"))["month"]
    assert month == -662_688_000_000  # 1949-01-01T00:00Z
    hour = next(records(load_bundled("WaterFlow")[0], "id"))["Time"]
    assert hour == 1_647_770_400_000  # 2022-03-20T11:00+01:00


@pytest.mark.parametrize("name", ["ImageSegments", "image_segments", "imagesegments"])
def test_names_in_either_case(name: str) -> None:
    """River's name and its snake case mean the same set."""
    assert load_bundled(name)[1] == "category"


@pytest.mark.parametrize("name", ["Elec2", "phish", ""])
def test_unknown_name_lists_what_is_there(name: str) -> None:
    """A name that is not bundled is refused with those that are."""
    with pytest.raises(DefinitionError) as caught:
        load_bundled(name)
    assert str(caught.value) == (
        f"data set must be one of {', '.join(sorted(LABELS))}; got {name!r}"
    )
