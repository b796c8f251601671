"""Programs come from PATH, or from packages that apt-get downloads and dpkg-deb unpacks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dev import debian
from dev.debian import find
from dev.fetched import UnavailableError
from tests.unit.dev.conftest import Program

# What apt-get would install: a library, a page's script, a newer library, the package itself.
PLAN = """\
Reading package lists...
Inst libraft1 (2.0-1 Debian:12.15/oldstable [amd64])
Inst libjs-raft (1.1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [all])
Inst libold2 [1.0-1] (1.0-2 Debian:12.15/oldstable [amd64]) []
Inst raftcat (1.7-2 Debian:12.15/oldstable [amd64])
Conf raftcat (1.7-2 Debian:12.15/oldstable [amd64])"""
APT = f"""
echo "$@" >> "$LOG"
case "$*" in
*install*) echo '{PLAN}';;
*download*) shift; for each; do case $each in -*|download);; *) touch $each.deb;; esac; done;;
esac"""
DPKG = """
case "$2" in
*/raftcat.deb) mkdir -p "$3/usr/bin"
    printf '#!/bin/sh\\necho "$LD_LIBRARY_PATH" "$@"' > "$3/usr/bin/raftcat"
    chmod +x "$3/usr/bin/raftcat";;
*) mkdir -p "$3/usr/lib/cpu"; touch "$3/usr/lib/cpu/$(basename "$2" .deb).so.1";;
esac"""


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack into a folder of the test's own; give the file with what apt-get is asked for."""
    log = tmp_path / "log"
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setattr(debian, "FOLDER", tmp_path / "debian")
    return log


def test_a_program_on_path_is_taken(program: Program, log: Path) -> None:
    """Nothing is fetched where it is installed."""
    program("apt-get", APT)
    installed = program("raftcat", "")
    assert find("raftcat", "raftcat") == str(installed)
    assert not log.exists()


def test_a_package_is_unpacked_once(program: Program, log: Path, tmp_path: Path) -> None:
    """With the libraries that this machine has not, and none of what is for any machine."""
    program("apt-get", APT)
    program("dpkg-deb", DPKG)
    found = find("raftcat", "raftcat")
    assert find("raftcat", "raftcat") == found
    assert log.read_text().splitlines() == [
        "install --simulate --no-install-recommends raftcat",
        "download libold2 libraft1 raftcat",
    ]
    libraries = {each.name for each in (tmp_path / "debian/raftcat/usr/lib/cpu").iterdir()}
    assert libraries == {"libold2.so.1", "libraft1.so.1"}


def test_a_program_whose_starter_looks_in_usr_is_started_itself(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Chromium, whose script in `usr/bin` has the path of the one that is installed."""
    monkeypatch.setattr(debian, "_ELSEWHERE", {"raftcat": "usr/lib/raft/raftcat"})
    program("apt-get", APT)
    program(
        "dpkg-deb",
        DPKG
        + """
mkdir -p "$3/usr/lib/raft"
printf '#!/bin/sh\\necho itself "$@"' > "$3/usr/lib/raft/raftcat"
chmod +x "$3/usr/lib/raft/raftcat"
""",
    )
    found = find("raftcat", "raftcat")
    printed = subprocess.run([found, "-t"], check=True, capture_output=True, text=True)
    assert printed.stdout == "itself -t\n"


def test_the_program_is_a_plain_command_that_finds_its_libraries(program: Program) -> None:
    """By its name, from any folder, with arguments as they are."""
    program("apt-get", APT)
    program("dpkg-deb", DPKG)
    folder = Path(find("raftcat", "raftcat")).parent
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    printed = subprocess.run(
        ["sh", "-c", "raftcat -t 'a  topic'"],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": path},
    ).stdout
    assert printed.strip() == f"{folder}/../usr/lib/cpu -t a  topic"


def test_lists_of_packages_are_fetched_where_the_machine_has_none(
    program: Program, log: Path
) -> None:
    """They are put in a folder of their own, and not among the machine's."""
    program("apt-get", f"case $1 in --option=Dir::State::Lists=*);; *) exit 100;; esac\n{APT}")
    program("dpkg-deb", DPKG)
    assert find("raftcat", "raftcat")
    asked = [line.split() for line in log.read_text().splitlines()]
    assert [words[2] for words in asked] == ["update", "install", "download"]
    places = [dict(each.split("=")[1:] for each in words[:2]) for words in asked]
    assert {*places[0]} == {"Dir::State::Lists", "Dir::Cache"}
    assert places[0] == places[1] == places[2]


def test_what_cannot_be_had_is_said(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Debian's packages, and where a package has no such program."""
    program("apt-get", APT)
    program("dpkg-deb", DPKG)
    with pytest.raises(UnavailableError, match="raftcat has no other-program"):
        find("other-program", "raftcat")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError) as raised:
        find("kcat", "kcat")
    assert str(raised.value) == (
        "kcat is not on PATH, and Debian's package cannot be fetched: "
        "apt-get must be on PATH; got none"
    )


def test_the_command_says_loudly_which_tests_will_not_run(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on with the next package, and fails at none."""
    program("prometheus", "")
    program("apt-get", "echo no network >&2; exit 100")
    debian.main(["prometheus", "kcat-of-nobody"])
    said = capsys.readouterr().err
    assert "*** THE TESTS WITH KCAT-OF-NOBODY WILL NOT RUN ***" in said
    assert "no network" in said
    assert "PROMETHEUS" not in said
