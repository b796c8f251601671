"""What is archived comes back bit for bit, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipelines.loans import pipeline
from millrace.schemas import ArchiveError, SettingsError
from millrace.streams.settings import Settings
from millrace.streams.state.archive.store import ArchiveStore, Place, open_archive
from millrace.streams.tools.defined import task_factory
from millrace.streams.tools.inspect_state import describe
from tests.unit.streams.tools.conftest import EVENTS, LEARNER

PLACE = Place(LEARNER.name, 0)


def file_of(archive, version):
    return Path(archive.store._path(version, PLACE))


def test_what_was_archived_comes_back_bit_for_bit(archive):
    """Models, metrics and all else of the state, with where it is in the log."""
    archive.left.save()
    assert archive.writer.due == "2026-11-26T1600Z"
    assert archive.writer.write("2026-11-26T1600Z", 0, {"features": EVENTS})

    checked = archive.reader.checked("2026-11-26T1600Z", PLACE)
    assert checked.header.covers == {"features": EVENTS}
    assert checked.size == file_of(archive, "2026-11-26T1600Z").stat().st_size
    task = task_factory(pipeline, archive.left.settings, LEARNER, 1).make()
    archive.reader.saved(checked.archived).restore(task)
    vectors = sample_vectors(pipeline)
    assert describe(0, task, vectors) == describe(0, archive.left.task, vectors)
    assert {name: [*store] for name, store in task.stores()} == {
        name: [*store] for name, store in archive.left.task.stores()
    }


def test_nothing_is_archived_before_state_is_saved(archive):
    """Nor before it has come to the place that is asked for; then it is tried again later."""
    assert not archive.writer.write("now", 0, {})
    archive.left.save()
    assert not archive.writer.write("now", 0, {"features": EVENTS + 1})
    assert archive.store.versions() == {}


def test_a_save_that_is_cut_off_is_not_archived(archive):
    """An entry that the manifest lists is missing: the next save makes it whole."""
    archive.left.save()
    archive.left.broker.expire("loans.models", before=1)
    assert not archive.writer.write("now", 0, {})


def test_a_version_is_written_once(archive):
    """A worker that takes over later does not put other state under its name."""
    archive.left.save()
    archive.writer.write("now", 0, {})
    before = file_of(archive, "now").read_bytes()
    archive.now_ms += 1_000
    assert archive.writer.write("now", 0, {})
    assert file_of(archive, "now").read_bytes() == before
    assert [each.name for each in file_of(archive, "now").parent.iterdir()] == [
        "prediction-learning.0"
    ]


def test_old_versions_are_removed(archive):
    """Those of the time, as `archive_keep` says; what a command asked for stays."""
    archive.left.save()
    archive.writer.write("2026-11-20T1630Z-snapshot-7", 0, {})
    for _ in range(40):
        archive.now_ms += 3_600_000
        archive.writer.write(archive.writer.due, 0, {})
    archive.writer.thin()
    assert [*archive.store.versions()] == [
        "2026-11-20T1630Z-snapshot-7",
        "2026-11-27T0000Z",
        "2026-11-28T0000Z",
        "2026-11-28T0600Z",
        "2026-11-28T0700Z",
        "2026-11-28T0800Z",
    ]
    archive.store.remove("2026-11-27T0000Z")
    archive.store.remove("2026-11-27T0000Z")  # another worker was faster


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "signature does not match this key"),
        (lambda data: data[:40] + b"\0" + data[41:], "signature does not match this key"),
        (lambda _: b"", "must be signed"),
    ],
)
def test_a_file_that_was_changed_is_refused_by_name(archive, change, why):
    """Nothing of it is loaded."""
    archive.left.save()
    archive.writer.write("now", 0, {})
    file = file_of(archive, "now")
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ArchiveError, match=rf"now/prediction-learning\.0 cannot be used: .*{why}"):
        archive.reader.checked("now", PLACE)


def test_a_file_of_another_key_is_refused(archive):
    """As the state itself is."""
    archive.left.save()
    archive.made_with(b"another key").write("now", 0, {})
    with pytest.raises(ArchiveError, match="signature does not match this key"):
        archive.reader.checked("now", PLACE)


def test_a_file_that_was_moved_is_refused(archive):
    """An old version under the name of a newer one, or another partition's."""
    archive.left.save()
    archive.writer.write("old", 0, {})
    archive.store.write("new", PLACE, archive.store.read("old", PLACE))
    with pytest.raises(ArchiveError, match=r"written as old/prediction-learning\.0, and moved"):
        archive.reader.checked("new", PLACE)
    archive.store.write("old", Place(LEARNER.name, 1), archive.store.read("old", PLACE))
    with pytest.raises(ArchiveError, match=r"written as old/prediction-learning\.0, and moved"):
        archive.reader.checked("old", Place(LEARNER.name, 1))


def test_a_file_that_is_not_there_is_said_by_name(archive):
    """With its path, and no more."""
    with pytest.raises(ArchiveError, match=r"could not read .*loans/now/.*: it is not there"):
        archive.reader.checked("now", PLACE)


def test_an_object_store_is_used_as_well(archive):
    """By any URL that fsspec knows: here, one in memory."""
    store = ArchiveStore("memory://bucket/folder", "loans.")
    try:
        assert store.versions() == {}
        store.write("now", PLACE, b"state")
        assert (store.has("now", PLACE), store.has("then", PLACE)) == (True, False)
        assert store.versions() == {"now": {PLACE: 5}}
        assert store.read("now", PLACE) == b"state"
        store.remove("now")
        assert store.versions() == {}
    finally:
        fsspec.filesystem("memory").store.clear()


def test_what_is_no_archive_is_refused(monkeypatch):
    """The message names the URL, or the package to install; never a password."""
    with pytest.raises(SettingsError, match=r"archive must be a folder.*got none"):
        open_archive(Settings(broker="fake"), "loans.")
    with pytest.raises(SettingsError, match=r"got 'nowhere://a'.*nowhere"):
        ArchiveStore("nowhere://a", "loans.")
    with pytest.raises(SettingsError, match=r"hidden.*Install s3fs") as refused:
        ArchiveStore("s3://user:longpassword@bucket", "loans.")
    assert "longpassword" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_said(archive, tmp_path):
    """With the path and what the system says."""
    archive.left.save()
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(ArchiveError, match=r"could not (look for|write) .*now/"):
        archive.writer.write("now", 0, {})
