"""Versions of the chaos pipeline: each changes what its kind says, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.models.identity.changes import changes
from millrace.models.identity.definition import describe
from millrace.models.pipeline.loading import load_pipeline
from tests.chaos.versions import FILE, KINDS, Versions

REFUSED = {
    "feature of another meaning": "must mean what it did",
    "another event_id": "event_id must stay",
    "no champion": "models must keep",
}


@pytest.mark.parametrize("attribute", ["pipeline", "keyed"])
def test_each_kind_changes_something(tmp_path: Path, attribute: str) -> None:
    """One after the other, each on top of those that may be."""
    versions = Versions(tmp_path, attribute)
    version, before = versions.first, describe(load_pipeline(f"{FILE}:{attribute}"))
    for kind in KINDS:
        changed = versions.changed(version, kind)
        now = describe(load_pipeline(f"{changed.file}:{attribute}"))
        found = changes(before, now)
        assert not found.is_empty, kind
        assert changed.what == kind
        if kind in REFUSED:
            assert REFUSED[kind] in str(found.refused)
            assert not changed.is_safe
        else:
            assert found.refused == (), kind
            version, before = changed, now
