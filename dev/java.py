"""What a real Kafka needs of this machine: a Java that runs it, and its jars, fetched by Maven.

The jars are those that ``dev/pom.xml`` names, fetched once into ``.kafka/libs`` of the repository.
What another POM names, such as a schema registry, is fetched in the same way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from dev.fetched import REPOSITORY, UnavailableError, digest, made_once, run

POM = REPOSITORY / "dev" / "pom.xml"
LIBS = REPOSITORY / ".kafka" / "libs"
JAVA_MAJOR = 17  # the oldest Java that the Kafka 4 broker runs on (KIP-1013)
RESOLVE_SECONDS = 600.0


class KafkaUnavailableError(UnavailableError):
    """A broker cannot run here, or did not start; the message says what to do."""


def missing_requirements() -> str | None:
    """Say why a real Kafka cannot run on this machine.

    Fetches the jars if they are not there yet, which takes seconds to a few minutes.

    Returns
    -------
    str or None
        One line naming what is missing (Java, Maven, or the jars); None if nothing is.
    """
    try:
        find_java()
        resolve_jars()
    except KafkaUnavailableError as error:
        return str(error)
    return None


def find_java() -> str:
    """Return the path of a Java that can run Kafka, from JAVA_HOME or else PATH."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise KafkaUnavailableError(
            f"Kafka requires Java {JAVA_MAJOR} or newer in JAVA_HOME or on PATH; "
            f"got JAVA_HOME={home!r} and no java. Install a JRE, e.g. openjdk-17-jre-headless."
        )
    banner = run([java, "-version"]).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < JAVA_MAJOR:
        raise KafkaUnavailableError(
            f"Kafka requires Java {JAVA_MAJOR} or newer; got {banner.strip()[:60]!r} "
            f"from {java}. Set JAVA_HOME to a newer one."
        )
    return java


def resolve_jars(pom: Path = POM, goal: str = "copy-dependencies") -> Path:
    """Return the folder with what a POM names, by default the broker's jars.

    It is fetched if it is not there. The folder is named after the contents of the POM.

    Parameters
    ----------
    pom
        Names what is fetched.
    goal
        Of Maven's dependency plugin: `unpack-dependencies` for archives.
    """
    version = re.search(r"<version>([^<]+)<", pom.read_text())
    name = f"{version[1] if version else 'jars'}-{digest(pom)}"
    return made_once(LIBS / name, lambda folder: _run_maven(pom, goal, folder))


def _run_maven(pom: Path, goal: str, target: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise KafkaUnavailableError(
            f"Kafka requires mvn on PATH to fetch its jars into {LIBS}; got {mvn!r}. "
            "Install Maven, e.g. apt-get install maven."
        )
    command = [mvn, "-q", "-B", "-f", str(pom), f"dependency:{goal}"]
    try:
        where = (f"-DoutputDirectory={target}", f"-DmarkersDirectory={target}.markers")
        done = run([*command, *where], RESOLVE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailableError(
            f"mvn requires less than {RESOLVE_SECONDS:.0f} s to fetch the jars; "
            "got no end. Check the network and Maven's settings.xml."
        ) from error
    if done.returncode != 0:
        found = re.search(r"\[ERROR\] (.+)", done.stdout)
        reason = found[1] if found else "no message"
        raise KafkaUnavailableError(
            f"mvn requires access to the jars that {pom} names; got {reason[:300]!r}. "
            "Check the network and Maven's settings.xml."
        )
