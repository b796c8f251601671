"""A pipeline with saved state on a fake broker, and an empty archive."""

from __future__ import annotations

import pytest

from millrace.models.pipelines.loans import pipeline
from millrace.streams.retention import parse_retention
from millrace.streams.state.archive.reading import ArchiveReader
from millrace.streams.state.archive.store import ArchiveStore
from millrace.streams.state.archive.writing import ArchiveWriter
from millrace.streams.state.log import StateLog
from tests.unit.streams.tools.conftest import KEY, LEARNER, Left

NOW_MS = 1_795_712_280_000  # 2026-11-26 16:58


class Archive:
    """An archive of what a worker leaves on a broker."""

    def __init__(self, url: str) -> None:
        self.left = Left()
        self.now_ms = NOW_MS
        self.store = ArchiveStore(url, "loans.")
        self.writer = self.made_with(KEY)
        self.reader = ArchiveReader(self.store, pipeline, "loans.", KEY, self.left.clients)

    def made_with(self, key: bytes) -> ArchiveWriter:
        state = StateLog(pipeline, LEARNER, self.left.clients, "loans.", KEY)
        keep = parse_retention("3h,2d")
        return ArchiveWriter(self.store, LEARNER, state, "loans.", key, keep, lambda: self.now_ms)


@pytest.fixture
def archive(tmp_path) -> Archive:
    found = Archive(str(tmp_path / "archive"))
    found.left.write()
    return found
