"""The contestants: by name, the command that starts each of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from bench.job import Job
from bench.process import REPOSITORY, interpreter
from dev.kafka import free_port

Command: TypeAlias = Callable[[Job], list[str]]  # returns a program and its arguments
BARE = "bare"  # the River loop without Kafka, with which the contestants are compared
EQUAL = "-equal"  # ends the name of one that does the same work as Millrace's `full`
BEFORE = "-before"  # ends the name of one that runs from another checkout


def script(module: str, environment: str = "") -> Command:
    """Return the command of a module of `bench.subjects`."""

    def command(_job: Job) -> list[str]:
        python = interpreter(environment) if environment else sys.executable
        return [python, "-P", "-m", f"bench.subjects.{module}"]

    return command


def millrace(chain: str, guarantee: str = "at_least_once", web_port: int | None = None) -> Command:
    """Return the command of a Millrace worker."""

    def command(job: Job) -> list[str]:
        options = {
            "pipeline": "bench.pipeline:pipeline",
            "broker": f"embedded://{job.bootstrap}" if job.embedded else job.bootstrap,
            "chain": chain,
            "guarantee": guarantee,
            "partitions": job.partitions,
            "web-port": web_port or free_port(),
        }
        program = Path(sys.executable).with_name("millrace")
        return [str(program), "worker", *(f"--{name}={value}" for name, value in options.items())]

    return command


def from_checkout(checkout: Path, command: Command) -> Command:
    """Return the command of a Millrace worker with the code of another checkout.

    The pipeline and the dependencies are those of this one; only the package is the other's.
    """

    def other(job: Job) -> list[str]:
        folder = REPOSITORY / ".bench" / "before"
        folder.mkdir(parents=True, exist_ok=True)
        package = folder / "millrace"
        package.unlink(missing_ok=True)
        package.symlink_to(checkout.resolve() / "millrace")
        path = f"{folder}{os.pathsep}{REPOSITORY}"
        return with_variables(command, PYTHONPATH=path)(job)

    return other


def with_variables(command: Command, **variables: str) -> Command:
    """Return the command with more environment variables."""

    def other(job: Job) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in variables.items()), *command(job)]

    return other


MILLRACE: Mapping[str, Command] = {
    "full": millrace("full"),
    "full-eos": millrace("full", "exactly_once"),
    "default": millrace("default"),
    "default-eos": millrace("default", "exactly_once"),
    "split": millrace("split"),
    "split-eos": millrace("split", "exactly_once"),
}
CONTESTANTS: Mapping[str, Command] = {
    "handwritten": script("handwritten"),
    **MILLRACE,
    "bytewax": script("bytewax", "bytewax"),
    "quix": script("quix", "quix"),
    "faust": script("plain_faust"),
    f"handwritten{EQUAL}": script("handwritten_equal"),
    f"bytewax{EQUAL}": script("bytewax_equal", "bytewax"),
    f"quix{EQUAL}": script("quix_equal", "quix"),
}
