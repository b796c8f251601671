"""The dry run in a process of its own, which can be killed: user code may hang, or crash."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
import warnings
from multiprocessing.connection import Connection

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.importing import load
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError
from millrace.streams.state.dry_run import DryRun, Findings

KILLED_AFTER_SECONDS = 20.0


def tried(definition: str | Bundle, seconds: float = KILLED_AFTER_SECONDS) -> list[str]:
    """Run the models of a pipeline dry, in a child process, and return what it warns of.

    Parameters
    ----------
    definition
        Where it is, as `load_pipeline` takes it, or its bundle.
    seconds
        After which the process is killed; what it was trying is a warning.

    Raises
    ------
    DefinitionError
        A bundle cannot be imported; or a model cannot be saved, cannot be loaded, or answers
        otherwise in a second run.
    """
    # A fork has the definition's modules already; elsewhere, a new interpreter loads them.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(definition, sender))  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child leaves
        process.start()
    sender.close()
    try:
        found = _listen(receiver, time.monotonic() + seconds)
    finally:
        process.kill()
        process.join()
        receiver.close()
    if found.errors:
        more = f" (and {len(found.errors) - 1} more)" if len(found.errors) > 1 else ""
        raise DefinitionError(found.errors[0] + more)
    return found.warnings


def _listen(receiver: Connection, end: float) -> Findings:
    """Return what the child found, or a warning that says what it was trying when it ended."""
    trying = "the definition"
    try:
        while receiver.poll(max(end - time.monotonic(), 0.0)):
            message = receiver.recv()
            if isinstance(message, Findings):
                return message
            trying = message
    except EOFError:
        return Findings(warnings=[f"the process ended that tried {trying} on made-up events"])
    return Findings(warnings=[f"{trying} took too long on made-up events, and was not tried out"])


def _report(definition: str | Bundle, sender: Connection) -> None:
    """Run a pipeline's models dry and send what is found: what the child process does."""
    gc.freeze()  # what the parent had is the parent's to clean up
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        pipeline = _pipeline_of(definition)
    except DefinitionError as error:
        sender.send(Findings(errors=[str(error)]))
    else:
        sender.send(DryRun(pipeline, time.monotonic, sender.send).run())


def _pipeline_of(definition: str | Bundle) -> Pipeline:
    if isinstance(definition, Bundle):
        return load(definition)
    return load_pipeline(definition)
