"""The stream that the benchmark runs on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bench import data
from bench.learner import Learner
from millrace.schemas import shipped
from millrace.streams.operators.routing import partition_of


@pytest.fixture
def generated(monkeypatch):
    """Give the stream of those who have no file."""
    monkeypatch.delenv("ELEC2", raising=False)
    return data.rows(data.ROWS)


def test_the_generated_stream_has_the_shape_of_elec2(generated):
    """It has as many rows, eight features and both classes in similar numbers."""
    assert data.name() == "generated"
    assert len(generated) == 45_312
    assert {len(features) for features, _ in generated} == {8}
    assert 0.4 < Counter(label for _, label in generated)[True] / len(generated) < 0.6


def test_the_generated_stream_is_always_the_same(generated):
    """Another process, which has no cache, generates the same rows."""
    assert data._load.__wrapped__("") == generated


def test_a_file_is_read_as_it_is(tmp_path, monkeypatch):
    """The last column is the label, and columns without numbers are left out."""
    path = tmp_path / "elec2.csv"
    path.write_text("date,day,price in $,up,class\n0.1,b2,0.3,1,UP\n1e-3,b3,0.2,0,DOWN\n")
    monkeypatch.setenv("ELEC2", str(path))
    assert data.name() == "Elec2"
    assert data.rows(2) == [
        ({"date": 0.1, "price_in_": 0.3, "up": 1.0}, True),
        ({"date": 0.001, "price_in_": 0.2, "up": 0.0}, False),
    ]


@pytest.mark.parametrize(
    ("text", "label"), [("1", True), ("0", False), ("yes", True), ("no", False)]
)
def test_labels_are_told_apart(tmp_path, monkeypatch, text, label):
    """A class may be a number or a word."""
    path = tmp_path / "any.csv"
    path.write_text(f"x,class\n0.5,{text}\n0.5,{text}\n")
    monkeypatch.setenv("ELEC2", str(path))
    assert [each for _, each in data.rows(2)] == [label, label]


def test_a_long_run_starts_over_at_the_first_row(tmp_path, monkeypatch):
    """A stream with fewer rows than a run has events is repeated."""
    path = tmp_path / "short.csv"
    path.write_text("x,class\n0.5,1\n0.25,0\n")
    monkeypatch.setenv("ELEC2", str(path))
    assert [features["x"] for features, _ in data.rows(5)] == [0.5, 0.25, 0.5, 0.25, 0.5]


def test_contestants_read_what_was_written(generated, job):
    """Every contestant decodes the rows to the last bit, in one partition and in order."""
    job = replace(job, features=[*generated[0][0]])
    records = data.records(job)
    assert [(each.key, each.partition) for each in records] == [(b"0", 0), (b"1", 0), (b"2", 0)]
    decoded = [Learner(job).decode(each.value) for each in records]
    assert decoded == [(str(number), *generated[number]) for number in range(3)]


def test_records_with_keys_go_to_the_partition_of_their_key(generated, job):
    """They carry the key, and are where Millrace keeps that key."""
    job = replace(job, features=[*generated[0][0]], keyed=True, partitions=4)
    keys = ["anna", "bert", "cleo", "anna"]
    records = data.records(job, keys)
    assert [each.key.decode() for each in records] == keys
    assert [each.partition for each in records] == [partition_of(key, 4) for key in keys]
    assert Learner(job).decode(records[1].value)[1]["key"] == "bert"


def test_a_delayed_label_is_a_record_of_its_own(generated, job):
    """It comes so many events behind its event, in Millrace's own form; the event has none."""
    job = replace(job, features=[*generated[0][0]], events=4, label_delay=2)
    records = data.records(job)
    assert [(each.key, each.is_event) for each in records] == [
        *((b"0", True), (b"1", True), (b"2", True), (b"0", False), (b"3", True), (b"1", False)),
    ]
    assert shipped("label").decode(records[3].value)["event_id"] == "0"
    assert [each["name"] for each in job.schema["fields"]] == ["id", *job.features]


def test_records_are_split_after_an_event(generated, job):
    """What is not an event does not count."""
    job = replace(job, features=[*generated[0][0]], events=4, label_delay=2)
    records = data.records(job)
    first, rest = data.split(records, 3)
    assert [*first, *rest] == records
    assert (data.events_in(first), data.events_in(rest)) == (3, 1)
    assert data.split(records, 9) == (records, [])


def test_keys_are_balanced():
    """Every partition gets as many keys as any other, one partition after another."""
    keys = data.balanced_keys(16)
    assert len({*keys}) == len(keys) == 8 * 16
    assert [partition_of(key, 16) for key in keys] == [*range(16)] * 8
