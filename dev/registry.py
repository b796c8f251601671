"""Run a real schema registry on this machine: Apicurio, whose API is that of Confluent's.

``make test-platform`` has outputs in Confluent's wire format read back by other clients, which ask
it for the schemas. Maven fetches it once, 140 MB, by ``dev/registry.pom.xml``. It keeps everything
in memory, and listens on 127.0.0.1 only.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from dev.fetched import REPOSITORY
from dev.java import KafkaUnavailableError, find_java, resolve_jars

POM = REPOSITORY / "dev" / "registry.pom.xml"
HOST = "127.0.0.1"
READY_SECONDS = 90.0
STOP_SECONDS = 20.0


def resolve_registry() -> Path:
    """Return the registry's program, fetching it if it is not there.

    Raises
    ------
    KafkaUnavailableError
        Maven is missing, or cannot fetch it.
    """
    (jar,) = resolve_jars(POM, "unpack-dependencies").glob("*-runner.jar")
    return jar


class SchemaRegistry:
    """A registry in a process of its own, from `start` to `stop`.

    Parameters
    ----------
    folder
        Where its log goes.
    port
        Which it listens on.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, as clients of Confluent's registry take it."""
        return f"http://{HOST}:{self._port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
        ------
        KafkaUnavailableError
            Java or Maven is missing, or it does not start; the message says what to do.
        """
        jar = resolve_registry()
        where = (f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={self._port}")
        command = [find_java(), "-Xmx384m", *where, "-jar", str(jar)]
        log = self._folder / "registry.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=self._folder
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise KafkaUnavailableError(
                    f"the schema registry did not start: {log.read_text()[-500:]!r}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it; its schemas are gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with suppress(URLError, OSError), urlopen(f"{self.url}/subjects", timeout=5) as answer:
            return bool(answer.status == 200)
        return False
