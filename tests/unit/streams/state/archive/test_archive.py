"""What is archived comes back bit for bit, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import fsspec
import msgspec
import pytest

from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipelines.loans import pipeline
from millrace.schemas import ArchiveError, SettingsError
from millrace.schemas.records import AcceptedCommand
from millrace.streams.operators.record import AcceptedRecord, Origin
from millrace.streams.settings import Settings
from millrace.streams.state.archive import store as store_module
from millrace.streams.state.archive.files import to_bytes
from millrace.streams.state.archive.restoring import VersionLoader
from millrace.streams.state.archive.store import ArchiveStore, Place, open_archive
from millrace.streams.tools.defined import task_factory
from millrace.streams.tools.inspect_state import describe
from millrace.streams.tools.versions import to_restore, versions, wait_for_version
from tests.unit.streams.tools.conftest import EVENTS, KEY, LEARNER

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


def test_a_version_that_was_restored_is_not_removed(archive):
    """A rebuild, or a prediction that is made again, reads it once more."""
    archive.left.save()
    archive.writer.write("2026-11-20T1000Z", 0, {})
    found = to_restore(archive.reader, "2026-11-20T1000Z", LEARNER.name)
    value = AcceptedCommand(
        number=1, id="c1", command="restore", arguments=found.to_arguments(), who="", why=""
    )
    origin = Origin("features", 0, 7, 0, None, None)
    assert VersionLoader(archive.reader)(AcceptedRecord(value, origin))
    for _ in range(40):
        archive.now_ms += 3_600_000
        archive.writer.write(archive.writer.due, 0, {})
    archive.writer.thin()
    assert next(iter(archive.store.versions())) == "2026-11-20T1000Z"
    assert len(archive.store.versions()) == 6


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


def test_a_store_that_never_answers_is_given_up(archive, monkeypatch):
    """Neither a thread nor a fold waits for it for ever."""
    answers = Event()
    monkeypatch.setattr(store_module, "_MOST_SECONDS", 0.05)
    monkeypatch.setattr(archive.store._files, "cat_file", lambda _path: answers.wait(30))
    try:
        with pytest.raises(ArchiveError, match=r"could not read .*now/.*: no answer within 0 s"):
            archive.store.read("now", PLACE)
    finally:
        answers.set()


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


def restore_of(archive, **changes):
    found = to_restore(archive.reader, "v", LEARNER.name)
    file = found.files[0]._replace(**changes)
    value = AcceptedCommand(
        number=1,
        id="c1",
        command="restore",
        arguments=found._replace(files={0: file}).to_arguments(),
        who="anna",
        why="",
    )
    return AcceptedRecord(value, Origin("features", 0, 7, 0, None, None))


def test_a_command_finds_the_models_of_its_version(archive):
    """Of the partition in which it is met; of another, none."""
    archive.left.save()
    archive.writer.write("v", 0, {})
    command, load = restore_of(archive), VersionLoader(archive.reader)
    learned = next(each for each in archive.left.task.operators if each.name == "learning")
    assert load(command)[""].version == learned.models.of("").version == EVENTS
    elsewhere = AcceptedRecord(command.value, command.origin._replace(partition=1))
    assert load(elsewhere) is None


@pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"size": 7}])
def test_a_file_that_is_not_the_one_that_was_to_be_restored_is_refused(archive, change):
    """Though it is genuine: somebody has put another one there."""
    archive.left.save()
    archive.writer.write("v", 0, {})
    with pytest.raises(ArchiveError, match="partition 0 is not the one that was to be restored"):
        VersionLoader(archive.reader)(restore_of(archive, **change))
    command = restore_of(archive)
    archive.store.remove("v")
    with pytest.raises(ArchiveError, match="it is not there"):
        VersionLoader(archive.reader)(command)


def test_what_is_no_version_cannot_be_restored(archive):
    """The error says which there are; a file that was changed is named."""
    with pytest.raises(ArchiveError, match=r"got 'v'. The last ones are: none"):
        restore_of(archive)
    archive.left.save()
    archive.writer.write("w", 0, {})
    with pytest.raises(ArchiveError, match=r"got 'v'. The last ones are: w"):
        restore_of(archive)
    archive.writer.write("v", 0, {})
    file_of(archive, "v").write_bytes(b"changed")
    with pytest.raises(ArchiveError, match=r"v/prediction-learning\.0 cannot be used"):
        restore_of(archive)


def test_a_version_of_several_definitions_cannot_be_restored(archive):
    """It was written while one was deployed."""
    archive.left.save()
    archive.writer.write("v", 0, {})
    header, records = archive.reader.checked("v", PLACE).archived
    other = msgspec.structs.replace(header, partition=1, definition="d2")
    archive.store.write("v", Place(LEARNER.name, 1), to_bytes(other, records, "loans.", KEY))
    with pytest.raises(ArchiveError, match=r"must be of one definition; 'v' .* has 2"):
        restore_of(archive)


def test_versions_are_listed_with_their_faults(archive):
    """What each has, and what of it cannot be used."""
    archive.left.save()
    for name in ("a", "b"):
        archive.writer.write(name, 0, {})
    file_of(archive, "b").write_bytes(b"changed")
    one, other = versions(archive.reader)
    assert (one.name, one.faults, one.definitions, one.time_ms) == ("a", [], [""], archive.now_ms)
    (partition,) = one.to_json()["partitions"]
    assert (partition["covers"], partition["size"]) == ({"features": EVENTS}, one.size)
    (fault,) = other.faults
    assert "b/prediction-learning.0 cannot be used" in fault
    assert (other.files, other.size) == ({}, 0)


def test_a_version_is_waited_for(archive):
    """Until it has the partitions, or time is up; then the error says what to look at."""
    archive.left.save()
    archive.writer.write("v", 0, {})
    wait_for_version(archive.store, "v", [0], 0)
    with pytest.raises(ArchiveError, match=r"partitions \[1\] of v are not in .*MILLRACE_ARCHIVE"):
        wait_for_version(archive.store, "v", [0, 1], 0)
