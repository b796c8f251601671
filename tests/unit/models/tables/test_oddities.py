"""What looks wrong about a table is said, and what is ordinary is not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from millrace.models.tables.oddities import oddities

N = 40


def odd(column: Any, name: str = "x", label: Any = None) -> list[str]:
    frame = pd.DataFrame({name: column, "y": [0, 1] * (N // 2) if label is None else label})
    return [*oddities(frame.convert_dtypes(), [name], "y")]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("order_id", range(100, 100 + N)),
        ("n", range(N)),
        ("customerID", [f"c{i}" for i in range(N)]),
        ("uuid", [f"{i:x}" * 4 for i in range(N)]),
    ],
)
def test_an_id_among_the_features(name: str, column: Any) -> None:
    """By its name, or because it counts the rows."""
    (found,) = odd(column, name)
    assert found.startswith(f"{name!r} looks like an id")
    assert f"--exclude {name} or --id {name}" in found


@pytest.mark.parametrize(
    "column",
    [
        [f"2025-01-{1 + i % 28:02}" for i in range(N)],
        [f"{1 + i % 28}.1.2025 12:00" for i in range(N)],
        pd.date_range("2025-01-01", periods=N),
        [1_700_000_000 + 60 * i for i in range(N)],
        [1_700_000_000_000 + 60 * i for i in range(N)],
        [1_700_000_000.5 + 60 * i for i in range(N)],
        [20250101 + i % 28 for i in range(N)],
        [f"{1 + i % 28} Jan 2025" for i in range(N)],
    ],
)
def test_a_time_among_the_features(column: Any) -> None:
    """As text, as a time, or as a count since the epoch that never goes back."""
    assert odd(column) == ["'x' looks like a time. --time x or --exclude x."]


def test_a_few_cells_that_are_no_numbers() -> None:
    """They make text of the column."""
    (found,) = odd([*map(str, range(N - 2)), "?", "7"])
    assert "cells that are no numbers: 1, the first of them '?' in row 39" in found
    assert "--numeric x" in found


def test_text_of_which_almost_every_row_has_another() -> None:
    """Nothing is seen twice."""
    (found,) = odd([f"text {i % (N - 1)}" for i in range(N)])
    assert "39 values in 40 rows" in found


@pytest.mark.parametrize(
    ("last", "column"),
    [
        ("Total", [f"2025-01-{1 + i % 28:02}" for i in range(N - 1)]),
        ("Sum", [f"group {i % 3}" for i in range(N - 1)]),
        ("Grand total:", [*map(str, range(N - 1))]),
        ("n = 39", [*map(str, range(N - 1))]),
    ],
)
def test_a_footer(last: str, column: list[str]) -> None:
    """The last row is of another kind than all before it."""
    found = odd([*column, last])[0]
    assert found.startswith(f"The last row looks like a footer: its 'x' is {last!r}.")
    assert "--limit 39" in found


def test_labels_from_which_nothing_can_be_learned() -> None:
    """All of them are missing, or the same."""
    assert odd([1.5] * N, label=[None] * N)[0].startswith("All labels are missing")
    assert odd([1.5] * N, label=["no"] * N)[0].startswith("All labels are 'no'")


def test_an_empty_column() -> None:
    """It is no feature."""
    assert odd([None] * N) == ["'x' is empty. --exclude x."]


@pytest.mark.parametrize(
    "column",
    [
        [i % 7 for i in range(N)],
        [1.5 * i for i in range(N)],
        [f"group {i % 3}" for i in range(N)],
        [i * i for i in range(N)],
        [True, False] * (N // 2),
        ["3", "?", "x", "y", "z"] * (N // 5),
    ],
)
def test_ordinary_columns_are_not_mentioned(column: list[Any]) -> None:
    """Numbers, groups and booleans."""
    assert odd(column) == []


def test_a_short_table_has_no_ids() -> None:
    """In a few rows, all values may differ by chance."""
    frame = pd.DataFrame({"id": [1, 2, 3], "y": [0, 1, 0]})
    assert [*oddities(frame, ["id"], "y")] == []


@pytest.mark.parametrize("words", [["?"], ["?", "unknown", "-"]])
def test_words_for_missing_numbers(words: list[str]) -> None:
    """They may be many, if they are always the same ones."""
    (found,) = odd([*map(str, range(N - 9)), *(words * 9)[:9]])
    assert "cells that are no numbers: 9, the first of them '?' in row 32" in found


@pytest.mark.parametrize("written", ["${}.50", "{}%", "{},5", "1,{:03}.5", "1'{:03}", "({})"])
def test_numbers_that_are_written_otherwise(written: str) -> None:
    """They are text, and --numeric would not help."""
    (found,) = odd([written.format(i) for i in range(N)])
    assert f"looks like numbers, such as {written.format(0)!r}. If it is that, write" in found


def test_text_that_is_numbers() -> None:
    """As beyond 64 bits, or in a column of text."""
    (found,) = odd([str(2**70 + i) for i in range(N)])
    assert found == "'x' is text of which each is a number. --numeric x reads it as such."


def test_a_name_that_a_shell_would_cut() -> None:
    """It is quoted in the option."""
    assert odd([None] * N, "a b") == ["'a b' is empty. --exclude 'a b'."]


def test_labels_that_differ_in_capitals_only() -> None:
    """Probably they are meant to be the same."""
    (found,) = odd([1.5] * N, label=["yes", "No", "YES", " no"] * (N // 4))
    assert found.startswith(
        "'y' has 4 values, of which 2 differ from another in blanks or capitals"
    )


@pytest.mark.parametrize(
    "label", [[f"name {i}" for i in range(N)], pd.date_range("2025-01-01", periods=N)]
)
def test_labels_of_which_almost_every_row_has_another(label: Any) -> None:
    """Text or times: they are no classes."""
    (found,) = odd([1.5] * N, label=label)
    assert found.startswith("'y' has 40 values in 40 rows: too many classes")
