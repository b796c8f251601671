"""The stream that the benchmark runs on."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bench import data
from bench.job import Job
from bench.learner import decoder
from millrace.streams.operators.routing import partition_of


@pytest.fixture(autouse=True)
def no_stream_is_kept():
    """Read anew in every test."""
    data.load.cache_clear()
    yield
    data.load.cache_clear()


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> data.Stream:
    """Give the stream for those who have no file."""
    monkeypatch.delenv("ELEC2", raising=False)
    return data.load()


def test_the_made_up_stream_has_the_shape_of_elec2(made_up):
    """As many rows and features, both classes, and no two thirds with one concept."""
    assert len(made_up.rows) == 45_312
    assert made_up.features == [*data.FEATURES]
    shares = Counter(label for _, label in made_up.rows)
    assert 0.25 < shares[True] / len(made_up.rows) < 0.75


def test_the_made_up_stream_is_always_the_same(made_up):
    """Another call, another process: the same rows."""
    assert data._made_up() == made_up.rows


def test_a_file_is_read_as_it_is(tmp_path, monkeypatch):
    """The last column is the label, columns that are not numbers are left out."""
    path = tmp_path / "elec2.csv"
    path.write_text("date,day,price in $,class\n0.5,b'2',0.1,UP\n1e-3,b'3',0.2,DOWN\n")
    monkeypatch.setenv("ELEC2", str(path))
    assert data.load().name == "Elec2"
    assert data.load().rows == [
        ({"date": 0.5, "price_in__": 0.1}, True),
        ({"date": 0.001, "price_in__": 0.2}, False),
    ]


def test_contestants_read_what_was_written(made_up):
    """Every contestant's decoder gives the row back, to the last bit."""
    job = Job(name="any", model="any", events=3, schema=data.schema(made_up.features), features=[])
    decode = decoder(job)
    for number, (value, row) in enumerate(
        zip(data.encode(made_up, 3), made_up.first(3), strict=True)
    ):
        assert decode(value) == (str(number), *row)


def test_keys_spread_evenly():
    """Every partition gets as many keys, and so as many events, as any other."""
    counts = Counter(partition_of(key, 16) for key in data.balanced_keys(16))
    assert counts == dict.fromkeys(range(16), 8)


@pytest.mark.parametrize("contestant", ["quix", "bytewax"])
def test_peers_run_the_same_river(contestant, repository):
    """Models are compared with themselves: every environment pins Millrace's own River."""
    pinned = re.compile(r"^river==(\S+)", re.MULTILINE)
    ours = pinned.search((repository / "requirements.lock").read_text())
    theirs = pinned.search((repository / f"bench/requirements-{contestant}.txt").read_text())
    assert ours is not None
    assert theirs is not None
    assert theirs[1] == ours[1]
