"""The definitions that a worker has: its own file's, and those that were deployed.

What was deployed is imported from bundles of the topic `definitions`. Events on `clean` may be of
the schema of any of them: one that is not known yet is looked for there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from types import MappingProxyType

import structlog

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.importing import load
from millrace.models.identity.definition import describe, know
from millrace.models.identity.reference import Reference
from millrace.models.identity.setting import described_with
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.settings import with_settings
from millrace.schemas import DefinitionError, EventSchema, SnapshotError
from millrace.streams.control.in_force import InForceThen, Skipped
from millrace.streams.formats import Outputs
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.state.migrations import Name
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.live_task import Definition, LiveTask

_log = structlog.get_logger(__name__)

FindBeginning = Callable[[Collection[str], int], InForceThen]
"""From the topics that a task reads, and its partition, to what it begins with."""

OWN = ""
"""The digest of a definition that no bundle is made of."""


class Definitions:
    """Finds pipelines by their references. Any thread may call its methods.

    Parameters
    ----------
    own
        The worker's own.
    digest
        Of its bundle.
    store
        Where bundles are; None: there are none.
    name
        Another name for the pipelines.
    history
        References of the definitions that were in force, oldest first; the last one still is.
    renamed
        What the own one's classes are called, that earlier state names by the modules of its file.
    skipped
        Records that are not folded.
    find_beginning
        Finds what tasks begin with that have no state.

    Attributes
    ----------
    own
        Digest of the worker's own.
    history, renamed, skipped, find_beginning
        See above; more may come to `history` and `skipped`.
    """

    def __init__(
        self,
        own: Pipeline,
        digest: str = OWN,
        store: DefinitionStore | None = None,
        name: str = "",
        history: Sequence[str] = (),
        renamed: Mapping[Name, Name] = MappingProxyType({}),
        skipped: Iterable[Skipped] = (),
        find_beginning: FindBeginning = lambda *_: InForceThen(),
    ) -> None:
        self.find_beginning = find_beginning
        self.own = digest
        self.skipped = {*skipped}
        self.history = tuple(history)
        self.renamed = renamed
        self._store = store
        self._name = name
        self._known = {digest: own}
        self._schemas: dict[str, EventSchema] = {}
        self._lock = RLock()

    @property
    def in_force(self) -> str:
        """Reference of the definition in force; the own where none was deployed yet."""
        return self.history[-1] if self.history else self.own

    @property
    def first(self) -> str:
        """Digest of the first that was in force: with it, the log begins."""
        return self.history[0] if self.history else self.own

    @property
    def can_change(self) -> bool:
        """Whether there can be others than the worker's own."""
        return self._store is not None

    def find(self, reference: str) -> Pipeline:
        """Return the pipeline of a reference, imported when it is first asked for.

        Raises
        ------
        DefinitionError
            It is not there, or cannot be imported here.
        BrokerError
            The topic cannot be read.
        """
        with self._lock:
            if reference not in self._known:
                self._known[reference] = self._loaded(Reference.of(reference))
            return self._known[reference]

    def schemas(self) -> tuple[EventSchema, ...]:
        """Return the event schemas of the definitions that are known, oldest first."""
        with self._lock:
            return tuple(self._schemas.values())

    def look_for_more(self) -> bool:
        """Import the definitions that are not known yet; return whether there are any.

        State may hold classes of any of them. One that cannot be imported here may not be needed.

        Raises
        ------
        BrokerError
            The topic cannot be read.
        """
        with self._lock:
            before = len(self._schemas)
            for digest, bundle in self._store.all().items() if self._store else ():
                if digest not in self._schemas and bundle.description:
                    self._note(digest, bundle)
            return len(self._schemas) > before

    def _note(self, digest: str, bundle: Bundle) -> None:
        schema, label = (bundle.description[each] for each in ("schema", "label"))
        self._schemas[digest] = EventSchema(schema, label)  # type: ignore[arg-type]  # JSON
        if digest in self._known:
            know(self._known[digest], bundle.description)
            return
        try:
            self._known[digest] = self._imported(bundle)
        except DefinitionError as error:
            event = "a definition cannot be imported"
            _log.warning(event, definition=digest, reason=str(error))

    def _imported(self, bundle: Bundle) -> Pipeline:
        pipeline = load(bundle)
        named = pipeline.with_name(self._name) if self._name else pipeline
        return know(named, bundle.description) if bundle.description else named

    def _loaded(self, reference: Reference) -> Pipeline:
        if reference.settings:
            found, settings = self.find(reference.digest), reference.settings
            described = described_with(describe(found), settings)
            return know(with_settings(found, settings), described)
        if self._store is None:
            raise DefinitionError(
                f"the definition {reference} was deployed, and this worker has none but its own:"
                " its first log lines say why"
            )
        try:
            return self._imported(self._store.get(reference.digest))
        except SnapshotError as error:
            raise DefinitionError(str(error)) from error


class AgentDefinitions:
    """What one agent makes of each definition: finds a task's next one.

    Parameters
    ----------
    definitions
        Those of the worker.
    factory
        Makes tasks of the worker's own definition.
    outputs
        How the topics that users consume are written and read.
    """

    def __init__(self, definitions: Definitions, factory: TaskFactory, outputs: Outputs) -> None:
        self._definitions = definitions
        self._factory = factory
        self._outputs = outputs
        self._known: dict[str, Definition] = {}
        self._schemas = 0  # that all of them read at least

    @property
    def agent(self) -> AgentSpec:
        """The agent."""
        return self._factory.agent

    @property
    def own(self) -> Pipeline:
        """The worker's own definition."""
        return self._factory.pipeline

    @property
    def renamed(self) -> Mapping[Name, Name]:
        """See `Definitions`."""
        return self._definitions.renamed

    def begin(self, partition: int) -> LiveTask:
        """Return a task without state, at the beginning of its log.

        Raises
        ------
        DefinitionError, BrokerError, SnapshotError
            What it begins with cannot be found, or not be imported.
        """
        found = self._definitions.find_beginning(self.agent.reads, partition)
        live = self.live(found.definition)
        live.task.begin(found)
        return live

    def live(self, digest: str) -> LiveTask:
        """Return an empty task; where no digest is given, of the first definition in the log."""
        definition = self(digest or self._definitions.first)
        return LiveTask(definition, self, self._definitions.skipped)

    @property
    def in_force(self) -> str:
        """Reference of the definition in force."""
        return self._definitions.in_force

    def __call__(self, digest: str) -> Definition:
        """Return what the agent makes of the definition of a reference.

        Raises
        ------
        DefinitionError, BrokerError
            See `Definitions.find`.
        """
        if digest not in self._known:
            pipeline = self._definitions.find(digest)
            factory = replace(self._factory, pipeline=pipeline, definition=digest)
            codec = TopicCodec(pipeline, self._outputs, self._definitions.schemas())
            self._known[digest] = Definition(digest, factory, codec)
        return self._known[digest]

    def renewed(self, definition: Definition) -> Definition:
        """Return the same definition, which reads events of all schemas that are known by now.

        It looks for more of them. Another partition or agent may have found them before.
        """
        self._definitions.look_for_more()
        schemas = len(self._definitions.schemas())
        if schemas > self._schemas:
            self._schemas = schemas
            self._known.clear()
        return self(definition.digest)
