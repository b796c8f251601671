"""A table with every kind of column, for what is read of it and what is inferred from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from millrace.models.tables.reading import read_table

CSV = """name,age,height,is-member,1st,city,note,y
ann,31,1.75,true,0.1,Bern,,1
bob,,1.80,false,0.30000000000000004,Chur,x,0
cid,44,,true,7,Bern,,1
"""


@pytest.fixture
def people(tmp_path: Path) -> pd.DataFrame:
    """Return a table with every kind of column and missing cells, from `people.csv`."""
    path = tmp_path / "people.csv"
    path.write_text(CSV)
    return read_table(path).frame
