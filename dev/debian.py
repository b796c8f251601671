"""Programs for the platform tests: those on PATH, or Debian's, in a folder of this repository.

``python -m dev.debian`` fetches the packages whose programs are not on PATH. It installs nothing,
and says loudly what it cannot fetch.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from dev.fetched import REPOSITORY, UnavailableError, fetch, made_once

FOLDER = REPOSITORY / ".debian"
# What would be installed: its name, unless it is for all architectures, and has no library then.
_INSTALLED = re.compile(r"^Inst (\S+) .*\[(?!all\])[\w-]+\]\)", re.MULTILINE)
# What is in `usr/bin` looks for these in `/usr`, whose place another folder has here.
_ELSEWHERE = {"chromium": "usr/lib/chromium/chromium"}
_STARTER = """\
#!/bin/sh
root=$(dirname "$0")/..
LD_LIBRARY_PATH={libraries} exec "$root/{program}" "$@"
"""


def find(program: str, package: str) -> str:
    """Return the path of a program on PATH, or else of the one in a package of Debian.

    Raises
    ------
    UnavailableError
        It is not on PATH, and the package cannot be fetched.
    """
    found = shutil.which(program)
    if found is None:
        folder = made_once(FOLDER / package, partial(_unpack, package))
        found = shutil.which(program, path=str(folder / "bin"))
    if found is None:
        raise UnavailableError(
            f"{program} must be on PATH; Debian's package {package} has no {program}"
        )
    return found


def _unpack(package: str, root: Path) -> None:
    """Unpack a package, with the libraries that are not on this machine, and make it runnable."""
    with tempfile.TemporaryDirectory() as folder:
        downloads = Path(folder)
        try:
            _download(package, downloads)
        except UnavailableError:  # the machine's lists of packages may be missing, or old
            _download(package, downloads, _update(package, downloads))
        for each in downloads.glob("*.deb"):
            fetch(_what(package), ["dpkg-deb", "--extract", str(each), str(root)])
    _make_starters(root)


def _download(package: str, folder: Path, options: tuple[str, ...] = ()) -> None:
    apt = ["apt-get", *options]
    plan = fetch(
        _what(package), [*apt, "install", "--simulate", "--no-install-recommends", package]
    )
    packages = {package, *_INSTALLED.findall(plan)}
    fetch(_what(package), [*apt, "download", *sorted(packages)], folder=folder)


def _update(package: str, folder: Path) -> tuple[str, ...]:
    """Fetch lists of packages into a folder; return the options that have apt-get use them."""
    places = {"Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache"}
    for place in places.values():
        (place / "partial").mkdir(parents=True)
    options = tuple(f"--option={name}={place}" for name, place in places.items())
    fetch(_what(package), ["apt-get", *options, "update"])
    return options


def _make_starters(root: Path) -> None:
    """Make a command of each program, which finds the libraries beside it, in a folder `bin`."""
    folders = {each.parent.relative_to(root) for each in root.rglob("lib*.so*")}
    libraries = ":".join(f"$root/{each}" for each in sorted(folders))
    programs = {each.name: each.relative_to(root) for each in root.glob("usr/bin/*")}
    programs |= {name: Path(at) for name, at in _ELSEWHERE.items() if (root / at).exists()}
    (root / "bin").mkdir()
    for name, program in programs.items():
        starter = root / "bin" / name
        starter.write_text(_STARTER.format(libraries=libraries, program=program))
        starter.chmod(0o755)


def _what(package: str) -> str:
    return f"{package} is not on PATH, and Debian's package"


def main(packages: Iterable[str]) -> None:
    """Fetch packages, each of which has a program of its name; say which tests will not run."""
    for package in packages:
        try:
            find(package, package)
        except UnavailableError as error:
            title = f"*** THE TESTS WITH {package.upper()} WILL NOT RUN ***"
            print(f"\n{title}\n{error}\n", file=sys.stderr)


if __name__ == "__main__":
    main(["prometheus", "kcat", "chromium"])
