"""Run a real, single-node Apache Kafka on this machine, without Docker.

Outside the flow of records: this is what ``make kafka`` starts for a developer and what
``tests/integration`` starts for itself, so that the code which talks to Kafka is tried
against Kafka. Maven fetches the jars that ``dev/pom.xml`` names, once, into ``.kafka/libs``
of the repository; every broker shares them and keeps its own data, log and pid file in its
own directory. The broker is its own controller (KRaft combined mode, KIP-500) and listens
on 127.0.0.1 only.

As a script: ``python -m dev.kafka start|stop|status [--port 9092] [--dir .kafka]``. It exits
with 0 when it did what was asked, 1 when ``status`` finds no broker, and 2 with one line on
stderr when a broker cannot run here.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.fetched import REPOSITORY, run
from dev.java import KafkaUnavailableError, find_java, resolve_jars

HOST = "127.0.0.1"

READY_SECONDS = 180.0  # it takes 10, or much longer on a machine that is busy
STOP_SECONDS = 20.0

# The serial collector and no perf-data file: fewest threads and least to set up. The C2
# compiler stays on (turning it off saves 0.4 s), so that a benchmark sees a usual broker.
JVM_FLAGS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)


# Below what systems give to outgoing connections, so that none of those takes the port before
# whoever asked for it listens there.
_PORTS = range(15_000, 32_000)
_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a TCP port on the loopback interface, another one at each call.

    Nothing uses it at this moment.
    """
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


class KafkaBroker:
    """A Kafka broker in a process of its own, known by the pid file in its directory.

    The process outlives this object and the Python process: any `KafkaBroker` on the same
    directory can stop it. A pid file whose process is gone, or whose pid now belongs to
    another program, counts as no broker, and that program is never signalled.

    Parameters
    ----------
    directory : Path
        Holds ``data/``, ``server.properties``, ``kafka.log`` and ``kafka.pid``.
    port : int
        Port of the plaintext listener on 127.0.0.1; see `free_port`.
    overrides : Mapping[str, str], optional
        Server properties that replace or add to the ones written here.
    """

    def __init__(
        self, directory: Path, port: int, overrides: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory.resolve()
        self.port = port
        self.overrides = dict(overrides or {})
        self.log_path = self.directory / "kafka.log"
        self.pid_path = self.directory / "kafka.pid"
        self._config_path = self.directory / "server.properties"
        self._data_path = self.directory / "data"

    @property
    def bootstrap(self) -> str:
        """Address for ``bootstrap.servers``, as ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the running broker; None when it does not run."""
        try:
            pid = int(self.pid_path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _command_line(pid).endswith(self._process_suffix) else None

    def is_running(self) -> bool:
        """Tell whether the broker's process is alive; it may not answer clients yet."""
        return self.pid is not None

    def start(self) -> None:
        """Start the broker, if it is not running, and wait until it answers clients.

        Raises
        ------
        KafkaUnavailableError
            If Java, Maven or the jars are missing, the port is taken, the broker of this
            directory runs on another port, or it did not answer within 180 s.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with _lock(self.directory / "kafka.lock"):
            if self.is_running():
                self._require_same_port()
            else:
                self._launch()
            self._wait_ready()

    def stop(self) -> None:
        """Stop the broker cleanly, by force after 20 s; do nothing if it is not running."""
        self._signal(signal.SIGTERM)
        if not _wait_until(lambda: not self.is_running(), STOP_SECONDS):
            self.kill()
        self.pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """Stop the broker as a crash would (SIGKILL); what it had written stays."""
        self._signal(signal.SIGKILL)
        if not _wait_until(lambda: not self.is_running(), STOP_SECONDS):
            raise KafkaUnavailableError(
                f"KafkaBroker.kill requires that SIGKILL ends it; got pid {self.pid!r} "
                "alive. Look at that process by hand."
            )
        self.pid_path.unlink(missing_ok=True)

    def restart(self) -> None:
        """Stop the broker cleanly and start it again on the same data and port."""
        self.stop()
        self.start()

    def running_bootstrap(self) -> str | None:
        """Return the address the running broker was started with; None if there is none."""
        if not self.is_running():
            return None
        found = re.search(
            r"^advertised\.listeners=PLAINTEXT://(\S+)$",
            self._config_path.read_text(),
            flags=re.MULTILINE,
        )
        return found[1] if found else self.bootstrap

    @property
    def _process_suffix(self) -> str:
        """How the command line of this broker, and of no other process, ends."""
        return f"kafka.Kafka {self._config_path}"

    def _require_same_port(self) -> None:
        actual = self.running_bootstrap()
        if actual not in (None, self.bootstrap):
            raise KafkaUnavailableError(
                f"Kafka in {self.directory} requires the port it was started with; "
                f"got {self.port!r}, it runs at {actual}. Stop it first."
            )

    def _launch(self) -> None:
        java, jars = find_java(), resolve_jars()
        _require_free(self.port)
        properties = _server_properties(self._data_path, self.port) | self.overrides
        self._config_path.write_text(
            "".join(f"{key}={value}\n" for key, value in properties.items())
        )
        if not (self._data_path / "meta.properties").exists():
            _format_storage(java, jars, self._config_path)
        command = [java, *JVM_FLAGS, "-cp", f"{jars}/*", *self._process_suffix.split(" ", 1)]
        self.pid_path.write_text(f"{_spawn_detached(command, self.log_path)}\n")

    def _wait_ready(self) -> None:
        # log_level 0: librdkafka would report every refused connection on stderr.
        admin = AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "log_level": 0,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 100,
            }
        )
        answered = False

        def is_decided() -> bool:
            nonlocal answered
            answered = _answers(admin)
            return answered or not self.is_running()

        _wait_until(is_decided, READY_SECONDS)
        if not answered:  # once is enough: a busy machine may miss the next time
            outcome = "a broker that does not answer" if self.is_running() else "an exit"
            self.stop()
            raise KafkaUnavailableError(
                f"Kafka at {self.bootstrap} requires a start within {READY_SECONDS:.0f} s; "
                f"got {outcome}. {self.log_path} ends with: "
                + _cause(self.log_path.read_text(errors="replace"))
            )

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _server_properties(data: Path, port: int) -> dict[str, str]:
    """Return the configuration of a broker that is alone in its cluster.

    Internal topics have one replica, for there is one node, and few partitions, so that
    their first use is quick. Limits on messages are left as Kafka ships them.
    """
    controller_port = free_port()
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # So that a test need not wait 6 s until a worker that it has killed is missed.
        "group.min.session.timeout.ms": "1000",
        # A killed broker may register again only when its old session has run out:
        # with these, a start after kill() takes 5 s, with the defaults 12 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As Java does, so that connections in TIME_WAIT do not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise KafkaUnavailableError(
                f"Kafka requires a free port; got {port!r} on {HOST}: {error.strerror}. "
                "Stop what listens there or choose another --port."
            ) from error


def _format_storage(java: str, jars: Path, config: Path) -> None:
    """Give the data folder a cluster id: 16 random bytes in URL-safe base64."""
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    flags = [*JVM_FLAGS, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    # "--cluster-id=": an id may begin with "-", which would read as an option.
    tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
    done = run([java, *flags, *tool, "--config", str(config)])
    if done.returncode != 0:
        raise KafkaUnavailableError(
            f"Kafka requires storage it can format; got {_cause(done.stderr)!r}. "
            f"Check {config} and the folder it names in log.dirs."
        )


def _spawn_detached(command: list[str], log: Path) -> int:
    """Start a process that no signal to this one reaches; return its pid.

    A shell starts it and exits, so that this process is not its parent: Python has no open
    `Popen` to warn about, and a killed broker leaves no zombie that looks alive.
    """
    with log.open("ab") as output:
        shell = subprocess.Popen(
            ["sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    return int(shell.communicate()[0])


def _command_line(pid: int) -> str:
    """Return the arguments of a process, joined by spaces; empty if it is dead."""
    if Path("/proc/self/cmdline").exists():
        with suppress(FileNotFoundError, ProcessLookupError):
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
            return os.fsdecode(raw).replace("\0", " ").strip()
        return ""
    return run(["ps", "-ww", "-o", "command=", "-p", str(pid)]).stdout.strip()


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=0.5).brokers)
    except KafkaException:
        return False


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _cause(java_output: str) -> str:
    """Return the last line above the indented stack trace that ends the output."""
    lines = [s for s in java_output.splitlines() if s.strip() and not s[0].isspace()]
    return lines[-1] if lines else "no message"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time start the broker of a directory."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A real Kafka on 127.0.0.1, for development.")
    parser.add_argument("command", choices=("start", "stop", "status"))
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--dir", type=Path, default=REPOSITORY / ".kafka")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run one command of the script and return its exit code."""
    options = _parse_arguments(arguments)
    broker = KafkaBroker(options.dir, options.port)
    running_at = broker.running_bootstrap()
    if options.command == "status":
        print(f"Kafka is running at {running_at}" if running_at else "Kafka is not running")
        return 0 if running_at else 1
    if options.command == "stop":
        broker.stop()
        print("Kafka is stopped" if running_at else "Kafka was not running")
        return 0
    try:
        broker.start()
    except KafkaUnavailableError as error:
        print(error, file=sys.stderr)
        return 2
    state = "already running" if running_at else "ready"
    print(f"Kafka is {state} at {broker.bootstrap}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
