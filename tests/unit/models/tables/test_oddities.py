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
    ],
)
def test_a_time_among_the_features(column: Any) -> None:
    """As text, as a time, or as a count since the epoch that never goes back."""
    assert odd(column) == ["'x' looks like a time. --time x or --exclude x."]


def test_a_few_cells_that_are_no_numbers() -> None:
    """They make text of the column."""
    (found,) = odd([*map(str, range(N - 2)), "?", "7"])
    assert "text because of 1 cells, the first of them '?' in row 39" in found
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
    ],
)
def test_ordinary_columns_are_not_mentioned(column: list[Any]) -> None:
    """Numbers, groups and booleans."""
    assert odd(column) == []


def test_a_short_table_has_no_ids() -> None:
    """In a few rows, all values may differ by chance."""
    frame = pd.DataFrame({"id": [1, 2, 3], "y": [0, 1, 0]})
    assert [*oddities(frame, ["id"], "y")] == []
