"""The key that signs state is the one that is set, or this user's own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.schemas import SettingsError, SnapshotError
from millrace.streams.settings import Settings
from millrace.streams.state import keys
from millrace.streams.state.keys import state_key, state_key_if_any
from millrace.streams.state.signing import OtherKeyError, sign, signed_anew, verified

KAFKA = Settings(broker="kafka:9092")


@pytest.fixture(autouse=True)
def no_key_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away a key that this machine may have, and a container that it may be."""
    for name in ("MILLRACE_STATE_KEY", "container", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_the_one_that_is_set(tmp_path: Path) -> None:
    """A key that is set counts, and no file is made."""
    settings = Settings(broker="kafka:9092", state_key="é-key")
    assert state_key(settings, tmp_path) == "é-key".encode()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("empty", [" ", "\n", "\t\r\n"])
def test_an_empty_setting_is_refused(tmp_path: Path, empty: str) -> None:
    """A key of white space alone signs nothing."""
    with pytest.raises(SettingsError, match=r"state_key must hold a key .*MILLRACE_STATE_KEY"):
        state_key(Settings(broker="kafka:9092", state_key=empty), tmp_path)


def test_embedded_keeps_nothing(tmp_path: Path) -> None:
    """State of an embedded broker goes with the process, and so does its key."""
    settings = Settings()
    first, second = state_key(settings, tmp_path), state_key(settings, tmp_path)
    assert len(bytes.fromhex(first.decode())) == 32
    assert first != second
    assert [*tmp_path.iterdir()] == []


def test_none_is_made_where_none_is_needed(tmp_path: Path) -> None:
    """Who only looks gets the key that there is, if there is one."""
    assert state_key_if_any(KAFKA, tmp_path) is None
    assert [*tmp_path.iterdir()] == []
    own = state_key(KAFKA, tmp_path)
    assert state_key_if_any(KAFKA, tmp_path) == own
    assert state_key_if_any(Settings(broker="kafka:9092", state_key="set"), tmp_path) == b"set"


def test_a_users_own(tmp_path: Path) -> None:
    """Else a random key is made once, in a file that only its user can read."""
    folder = tmp_path / "new" / "millrace"
    key = state_key(KAFKA, folder)
    assert len(bytes.fromhex(key.decode())) == 32
    assert state_key(KAFKA, folder) == key
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert state_key(KAFKA, tmp_path / "other") != key


def test_the_file_is_there_in_full_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker that looks at any moment finds no file, or the whole key."""
    seen = []
    link, fsync = os.link, os.fsync
    path = tmp_path / "state.key"
    monkeypatch.setattr(keys.os, "fsync", lambda fd: (seen.append(path.exists()), fsync(fd)))
    monkeypatch.setattr(
        keys.os, "link", lambda old, new: (seen.append(path.exists()), link(old, new))
    )
    key = state_key(KAFKA, tmp_path)
    assert seen == [False, False]
    assert path.read_bytes() == key


def test_the_key_of_a_faster_worker_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that make one at the same time, both use the first; nothing else is left."""
    faster = "the key of the faster worker"
    link = os.link

    def overtaken(old: Path, new: Path) -> None:
        new.write_text(faster)
        link(old, new)

    monkeypatch.setattr(keys.os, "link", overtaken)
    assert state_key(KAFKA, tmp_path) == faster.encode()
    assert [each.name for each in tmp_path.iterdir()] == ["state.key"]


def test_workers_that_start_together_agree(tmp_path: Path) -> None:
    """Eight processes that find no key end up with one."""
    code = (
        "import pathlib, sys\n"
        "from millrace.streams.settings import Settings\n"
        "from millrace.streams.state.keys import state_key\n"
        "print(); sys.stdout.flush(); sys.stdin.read()\n"  # all begin at once
        "print(state_key(Settings(broker='kafka:1'), pathlib.Path(sys.argv[1])).decode())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "folder")]
    workers = [
        subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(8)
    ]
    for each in workers:
        assert each.stdout is not None
        each.stdout.readline()
    for each in workers:
        assert each.stdin is not None
        each.stdin.close()
        each.stdin = None
    found = {each.communicate(timeout=60)[0].split("\n")[-2] for each in workers}
    assert found == {(tmp_path / "folder" / "state.key").read_text()}


@pytest.mark.parametrize(
    "content", ["", "\n", "   ", "0123456789abcde", "short\nanother key, longer"]
)
def test_an_empty_or_short_file_is_refused(tmp_path: Path, content: str) -> None:
    """It was cut off: a key that anybody can guess signs nothing, and is not replaced unasked."""
    (tmp_path / "state.key").write_text(content)
    with pytest.raises(SettingsError, match=r"state\.key must hold .*MILLRACE_STATE_KEY.*deleting"):
        state_key(KAFKA, tmp_path)
    assert (tmp_path / "state.key").read_text() == content


@pytest.mark.parametrize("broken", ["file for a folder", "folder for a file", "bytes"])
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, broken: str) -> None:
    """The message names the setting that makes the file unnecessary."""
    if broken == "file for a folder":
        (tmp_path / "folder").write_text("")
    else:
        (tmp_path / "folder").mkdir()
        file = tmp_path / "folder" / "state.key"
        file.mkdir() if broken == "folder for a file" else file.write_bytes(b"\xff" * 40)
    with pytest.raises(SettingsError, match=r"state_key must be set.*MILLRACE_STATE_KEY") as raised:
        state_key(KAFKA, tmp_path / "folder")
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a home that is mounted read-only."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(keys.Path, "touch", refuse)
    with pytest.raises(SettingsError, match=r"Permission denied.*MILLRACE_STATE_KEY"):
        state_key(KAFKA, tmp_path)


def test_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither HOME nor the system knows one, the setting is asked for; no `~` is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keys.click, "get_app_dir", lambda _: "~/.config/millrace")
    with pytest.raises(SettingsError, match=r"no home folder.*MILLRACE_STATE_KEY"):
        state_key(KAFKA)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["container", "KUBERNETES_SERVICE_HOST"])
def test_no_key_is_made_up_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would be gone with it; one that is there, in a volume perhaps, is used."""
    monkeypatch.setenv(name, "yes")
    with pytest.raises(SettingsError, match=r"in a container.*openssl rand -hex 32"):
        state_key(KAFKA, tmp_path)
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "state.key").write_text("a key of some length")
    assert state_key(KAFKA, tmp_path) == b"a key of some length"


def test_the_first_process_of_a_container_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its image says."""
    monkeypatch.setattr(keys.os, "getpid", lambda: 1)
    with pytest.raises(SettingsError, match="in a container"):
        state_key(KAFKA, tmp_path)


@pytest.mark.parametrize(
    "text", ["the new key, of today\nthe old one", "\r\nthe new key, of today \r\n the old one\n\n"]
)
def test_a_key_is_replaced(tmp_path: Path, text: str) -> None:
    """The first line signs, and every line is accepted, in the file as in the setting."""
    (tmp_path / "state.key").write_text(text)
    for settings in (KAFKA, Settings(broker="kafka:9092", state_key=text)):
        key = state_key(settings, tmp_path)
        assert verified(sign(b"x", key), b"the new key, of today") == b"x"
        old = sign(b"x", b"the old one")
        assert verified(old, key) == b"x"
        assert signed_anew(old, key) == sign(b"x", b"the new key, of today")
        with pytest.raises(OtherKeyError):
            verified(sign(b"x", b"a third"), key)


@pytest.mark.parametrize("key", [b"", b"\n", b"\n\n"])
def test_nothing_is_signed_without_a_key(key: bytes) -> None:
    """Neither written nor read."""
    with pytest.raises(SnapshotError, match="must be signed with a key"):
        sign(b"x", key)
    with pytest.raises(SnapshotError, match="must be signed with a key"):
        verified(sign(b"x", b"k"), key)
