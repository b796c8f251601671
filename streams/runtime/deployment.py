"""Which definition a worker begins with, and when it puts its own in force.

A definition that never was in force is new, and is deployed. One that was before is an old file on
a machine that has not been updated: the worker goes on with what is in force.
"""

from __future__ import annotations

import json
import socket
import uuid

import structlog

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.models.bundles.naming import renamed
from millrace.models.identity.definition import describe, know
from millrace.models.identity.reference import Reference
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.fate import Fate
from millrace.schemas import DefinitionError, SettingsError
from millrace.streams.control.commands import DEPLOY, SNAPSHOT
from millrace.streams.control.in_force import InForce
from millrace.streams.control.signature import deploy_signature
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.commands import Request, send
from millrace.streams.kafka.protocols import Clients
from millrace.streams.runtime.beginning import find_beginning
from millrace.streams.runtime.definitions import OWN, Definitions
from millrace.streams.runtime.in_force import read_in_force
from millrace.streams.settings import Deploy, Settings
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.state.migrations import Name
from millrace.streams.state.signing import keys_of
from millrace.streams.topology.topics import topic_prefix
from millrace.streams.who import user_name

_log = structlog.get_logger(__name__)


def bundled(pipeline: Pipeline, settings: Settings) -> Bundle:
    """Return the bundle of a worker's own definition.

    Raises
    ------
    DefinitionError
        It cannot travel.
    """
    return collect(settings.require_pipeline(), describe(pipeline))


def deploy_request(bundle: Bundle, prefix: str, key: bytes, who: str, why: str) -> Request:
    """Return the command that puts a bundle in force.

    Parameters
    ----------
    bundle
        Was published.
    prefix
        Of the pipeline's topics.
    key
        Signs bundles.
    who, why
        For the audit.
    """
    arguments = {
        "definition": bundle.digest,
        "description": json.dumps(bundle.description, separators=(",", ":")),
    }
    signature = deploy_signature(prefix, arguments, keys_of(key)[0])
    return Request(
        id=str(uuid.uuid4()),
        command=DEPLOY,
        arguments=arguments | {"signature": signature},
        who=who,
        why=why,
    )


def settled(clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes) -> Definitions:
    """Return the definitions of a worker, and put its own in force if it is to be.

    Raises
    ------
    DefinitionError
        The worker's own cannot follow what is in force.
    BrokerError
        The broker does not answer.
    """
    try:
        bundle = bundled(pipeline, settings)
    except DefinitionError as error:
        event = "this definition cannot be put into the log, and so it cannot be changed"
        _log.warning(event, reason=str(error))
        in_force = read_in_force(clients, pipeline, settings, key)
        begin = find_beginning(clients, pipeline, settings, key)
        return Definitions(pipeline, skipped=in_force.skipped, find_beginning=begin)
    prefix = topic_prefix(pipeline)
    in_force = read_in_force(clients, pipeline, settings, key)
    if _is_to_be_deployed(in_force, bundle, settings.deploy):
        retires = _check(in_force, bundle)
        DefinitionStore(clients, prefix, key).publish(bundle)
        who = f"{user_name()}@{socket.gethostname()}"
        requests = [deploy_request(bundle, prefix, key, who, "a worker has started with it")]
        if retires and settings.archive:
            why = "before a deploy that retires candidates"
            requests.insert(0, Request(str(uuid.uuid4()), SNAPSHOT, {}, who, why))
        for each in requests:
            send(clients, prefix, each, settings.command_key.get_secret_value().encode())
    return _definitions(clients, pipeline, settings, key, bundle, in_force)


def known_definitions(
    clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes
) -> Definitions:
    """Return the definitions that were deployed, with an own one to begin with where none was.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    if f"{topic_prefix(pipeline)}definitions" not in partition_counts(clients):
        return Definitions(pipeline)  # of an earlier release
    try:
        bundle = bundled(pipeline, settings)
    except (DefinitionError, SettingsError):  # it cannot travel, or is in no file
        bundle = None
    in_force = read_in_force(clients, pipeline, settings, key)
    return _definitions(clients, pipeline, settings, key, bundle, in_force)


def _definitions(
    clients: Clients,
    pipeline: Pipeline,
    settings: Settings,
    key: bytes,
    own: Bundle | None,
    in_force: InForce,
) -> Definitions:
    """Return all definitions; each is imported from its bundle, the own one, too.

    State names classes by the modules of bundles: so each worker finds them, whatever file it has.
    """
    name = settings.pipeline_name
    digest, names = OWN, dict[Name, Name]()
    if own is not None:
        digest, names, pipeline = own.digest, renamed(own), load(own)
        pipeline = know(pipeline.with_name(name) if name else pipeline, own.description)
    store = DefinitionStore(clients, topic_prefix(pipeline), key)
    history = [each for _, each in in_force.history]
    begin = find_beginning(clients, pipeline, settings, key)
    definitions = Definitions(
        pipeline, digest, store, name, history, names, in_force.skipped, begin
    )
    definitions.look_for_more()
    return definitions


def _is_to_be_deployed(in_force: InForce, bundle: Bundle, when: Deploy) -> bool:
    before = [Reference.of(each).digest for _, each in in_force.history]
    if before and before[-1] == bundle.digest:  # whatever was set since
        return False
    if when is Deploy.NEVER and before:
        _log.warning(
            "the definition of this file is not in force; going on with the one that is",
            own=bundle.digest,
            in_force=in_force.definition,
        )
        return False
    if bundle.digest in before and when is Deploy.NEW:
        _log.warning(
            "the definition of this file was in force before; going on with the one that is now."
            " To go back to it, run `millrace deploy`, or the worker with --deploy",
            own=bundle.digest,
            in_force=in_force.definition,
        )
        return False
    return True


def _check(in_force: InForce, bundle: Bundle) -> bool:
    """Say what a deploy changes; return whether it retires candidates.

    Raises
    ------
    DefinitionError
        It is refused.
    """
    found = in_force.changes_to({**bundle.description})
    if found is None:
        return False
    if found.refused:
        raise DefinitionError("; ".join(found.refused))
    _log.info("putting the definition of this file in force", changes=str(found).splitlines())
    return Fate.RETIRED in found.candidates.values()
