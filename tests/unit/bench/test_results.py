"""What is kept of a benchmark, and the tables that are made of it."""

from __future__ import annotations

import json
from itertools import product

import pandas as pd
import pytest

from bench import results, tables
from bench.parts import DEFAULT, NEED_KAFKA, PARTS


@pytest.fixture
def saved(tmp_path, runs):
    """Save runs as the part `throughput`, and read them."""
    results.save(tmp_path, "throughput", "a broker", "generated", runs)
    return results.read(tmp_path)


def test_results_are_one_table(tmp_path, saved, runs):
    """Every run of every part is a row, with what it was measured on."""
    results.save(tmp_path, "restore", "a broker", "generated", [{"keys": 10, "ready_seconds": 2.5}])
    found = results.read(tmp_path)
    assert found["part"].tolist() == ["restore"] + ["throughput"] * len(runs)
    assert found["ready_seconds"].tolist()[0] == 2.5
    assert {*found["broker"]} == {"a broker"}


def test_results_do_not_name_the_machine(tmp_path, saved):
    """What is published describes the machine and no more."""
    document = json.loads((tmp_path / "throughput.json").read_text())
    assert {*document["machine"]} == {"cpus", "architecture", "system", "python"}


def test_runs_that_failed_are_not_counted(saved):
    """They stay in the results, but not among those of the part."""
    assert len(saved) == 7
    assert len(results.of_part(saved, "throughput")) == 6
    assert results.of_part(saved, "latency").empty


def test_ratios_compare_runs_of_one_round(saved):
    """A run without its base in the same round has no ratio."""
    good = results.of_part(saved, "throughput").iloc[1:]  # the first round has no bare loop
    found = results.ratios(good, good["contestant"] == "bare", "events_per_second")
    assert found.isna().tolist() == [True, True, False, False, False]
    assert found.dropna().tolist() == pytest.approx([1.0, 0.6, 0.2])


def test_targets_are_medians_of_ratios(saved):
    """The ratio of medians (0.55 / 0.3) is not the median of the ratios of the rounds."""
    good = results.of_part(saved, "throughput")
    wanted = {("full", "bare"): {"logistic_regression": 0.5, "hoeffding_tree": 1.0}}
    wanted |= {("full", "bytewax"): {"logistic_regression": 1.25}}
    found = tables.targets(good, wanted).set_index("ratio in a round")
    assert found["measured"].to_dict() == {
        "full / bare, logistic_regression": "0.55 (0.5 to 0.6)",
        "full / bytewax, logistic_regression": "2.12 (1.25 to 3)",
    }
    assert found["target"].tolist() == [0.5, 1.25]


def test_equal_work_has_a_table_of_its_own(tmp_path, run_of):
    """It compares with `full`, by time and by CPU time, and not with the bare loop."""
    ratios = {"bare": 1.0, "full": 0.5, "quix": 0.4, "quix-equal": 0.1}
    runs = [run_of(name, 0, ratio) for name, ratio in ratios.items()]
    runs[-1]["cpu_ratio_to_bare"] = 0.025
    results.save(tmp_path, "throughput", "a broker", "generated", runs)
    _, bare, equal, targets = tables.text(results.read(tmp_path), "throughput").split("\n\n")
    assert [line.split(" | ")[1] for line in bare.splitlines()[2:]] == ["bare", "full", "quix"]
    assert [line.split(" | ")[1:6:2] for line in equal.splitlines()[2:]] == [
        *(["full", "1", "1"], ["quix-equal", "0.2", "0.1"]),
    ]
    assert "| full / quix-equal, logistic_regression | 5 | 10 | 3.5 |" in targets


def test_a_table_shows_what_was_and_what_was_not_measured(saved):
    """Medians of the rounds come first; a contestant that failed is named at the end."""
    lines = tables.text(saved, "throughput").splitlines()
    assert lines[0].startswith("throughput: a broker, generated data, ")
    row = "| logistic_regression | full | 550 | 0.55 (0.5 to 0.6) | 20 | 0.55 (0.5 to 0.6) | 100 |"
    assert row in lines
    assert lines[-1] == "| quix | logistic_regression | 1 | no wheel |"
    assert tables.text(saved, "latency") == ""


def test_a_part_that_failed_has_a_table_of_errors(tmp_path, runs):
    """Without one good run there are no medians to show."""
    results.save(tmp_path, "throughput", "a broker", "generated", runs[-1:])
    lines = tables.text(results.read(tmp_path), "throughput").splitlines()
    assert [line[:8] for line in lines[2:]] == ["| contes", "| --- | ", "| quix |"]


def test_exactly_once_is_compared_within_its_chain(tmp_path, run_of):
    """Each chain has its own base."""
    runs = [
        run_of(name, 0, ratio)
        for name, ratio in (
            ("full", 0.4),
            ("full-eos", 0.3),
            ("default", 0.2),
            ("default-eos", 0.1),
        )
    ]
    results.save(tmp_path, "guarantee", "a broker", "generated", runs)
    table = tables.TABLES["guarantee"](results.read(tmp_path))
    assert dict(zip(table["contestant"], table["ratio"], strict=True)) == {
        "full": "1",
        "full-eos": "0.75",
        "default": "1",
        "default-eos": "0.5",
    }


def test_growth_is_compared_with_the_smallest(tmp_path, run_of):
    """Whatever the order of the runs."""
    runs = [run_of("full", 0, 0.2, keys=1000), run_of("full", 0, 0.4, keys=10)]
    results.save(tmp_path, "keys", "a broker", "generated", runs)
    table = tables.TABLES["keys"](results.read(tmp_path))
    assert dict(zip(table["keys"], table["ratio"], strict=True)) == {1000: "0.5", 10: "1"}


def test_what_grows_is_compared_with_its_smallest_size(tmp_path):
    """Medians of the rounds, by axis, and what one more takes in memory."""
    runs = [
        {
            "contestant": "full",
            "axis": axis,
            "size": size,
            "round": number,
            "cpu_seconds_per_million": 20.0 + size / 100,
            "peak_rss_bytes": 1_000_000 + 400 * size + number,
            "longest_pause_seconds": 0.05,
        }
        for number, axis, size in product((0, 1, 2), ("waiting", "keys"), (1_000, 2_000))
    ]
    results.save(tmp_path, "growth", "a broker", "generated", runs)
    table = tables.TABLES["growth"](results.read(tmp_path))
    assert table["axis"].tolist() == ["waiting", "waiting", "keys", "keys"]
    assert table["size"].tolist() == [1_000, 2_000, 1_000, 2_000]
    assert table["CPU us per event"].tolist() == [30.0, 40.0, 30.0, 40.0]
    assert table["ratio"].tolist() == pytest.approx([1, 4 / 3, 1, 4 / 3])
    assert table["peak bytes for one more"].tolist()[1::2] == pytest.approx([400.0, 400.0])


def test_memory_and_time_may_be_unknown(tmp_path, run_of):
    """Where the system has no /proc, a table has a dash."""
    runs = [run_of("full", 0, 0.5, cpu_seconds_per_million=None, peak_rss_bytes=None)]
    results.save(tmp_path, "throughput", "a broker", "generated", runs)
    text = tables.text(results.read(tmp_path), "throughput")
    assert "| logistic_regression | full | 500 | - | - | - | - |" in text


def test_what_is_in_the_repository_can_be_shown():
    """There are results of every part, and each is in a table."""
    runs = results.read()
    assert {*tables.TABLES} == {*PARTS} == {*runs["part"]}
    for part in runs["part"].unique():
        assert tables.text(runs, part).count("| --- |") >= 1


def test_parts_are_known_by_name():
    """What is a default or needs Kafka is a part."""
    assert {*DEFAULT, *NEED_KAFKA} <= {*PARTS}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("full", "full"),
        (131_659.4, "131,659"),
        (100.4, "100"),
        (12.345, "12.3"),
        (0.00464, "0.00464"),
        (8.0, "8"),
        (float("nan"), "-"),
    ],
)
def test_numbers_have_three_digits_or_more(value, text):
    """Small numbers keep three significant digits, large ones every whole digit."""
    assert f"| {text} |" in tables.markdown(pd.DataFrame({"any": [value]}))


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5, 0.25, 1.0], "0.5 (0.25 to 1)"), ([0.5], "0.5"), ([0.5, 0.5001], "0.5")],
)
def test_a_spread_is_shown_if_there_is_one(values, text):
    """The median comes first, then the smallest and the largest."""
    assert tables.spread(pd.Series(values)) == text
