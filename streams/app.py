"""The worker: the one place where everything is put together.

`create_app` makes a Faust app with the agents of the chain. `millrace worker` runs it in a process
under a supervisor, which serves the worker's pages. `faust -A millrace.streams.app worker`, with
its settings from the environment, runs it without: the process serves its pages itself, and so
does not answer while user code holds Python's lock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from logging import Logger
from multiprocessing import Pipe

import faust
import structlog
from faust.app.base import BootStrategy

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SnapshotError
from millrace.streams.agents import define_agent
from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report
from millrace.streams.api.reporting import Reporter, ReportReader, refresh, stop_this_process
from millrace.streams.api.server import PageServer
from millrace.streams.control.in_force import Skipped
from millrace.streams.hashes import has_fixed_hashes
from millrace.streams.kafka.admin import find_sources, prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.kafka.output_schemas import registered_outputs
from millrace.streams.observability.logging import configure_logging
from millrace.streams.observability.metrics import Metrics
from millrace.streams.redaction import redact_tracebacks
from millrace.streams.runtime.archiving import Archiver, archiver_of
from millrace.streams.runtime.assembly import Assembly
from millrace.streams.runtime.background import Background
from millrace.streams.runtime.deployment import settled
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.folding import FoldingNote
from millrace.streams.runtime.in_force import InForceFollower, InForceReader
from millrace.streams.runtime.ticking import ticker_of
from millrace.streams.settings import EMBEDDED, Settings, read_settings, unknown_settings
from millrace.streams.state.dry_run_process import tried
from millrace.streams.state.keys import state_key
from millrace.streams.topology.topics import topic_prefix

_PROGRESS_CHECK_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class _AgentsOnly(BootStrategy):
    """Start all of Faust but its Kafka clients, since librdkafka carries the records, and its web.

    Its web server would show pages of Faust's own beside ours.
    """

    enable_kafka = False
    enable_web = False


class _Worker(faust.Worker):
    """What `faust -A millrace.streams.app worker` runs: its log is Millrace's, without secrets."""

    def on_setup_root_logger(self, _logger: Logger, _level: int) -> None:
        """Replace the logging that Faust has just set up."""
        configure_logging(read_settings())


class MillraceApp(faust.App):
    """A Faust app whose agents are fed by engines.

    Attributes
    ----------
    engines
        One for each agent.
    embedded
        The broker in this process, if there is one: it lives as long as the app.
    report
        Returns how the agents are.
    reporter
        Is given reports once the app has started.
    background
        What is done beside the agents once the app has started.
    is_refused
        Whether the process stops because the saved state of an agent cannot be loaded.
    """

    BootStrategy = _AgentsOnly
    engines: tuple[Engine, ...] = ()
    embedded: EmbeddedBroker | None = None
    report: Callable[[], Report]
    reporter: Reporter | None = None
    background: tuple[Background | Archiver, ...] = ()
    is_refused: bool = False

    async def _wait_for_table_recovery_completed(self) -> bool:
        return False  # there are no Faust tables, and no consumer of Faust to wait for

    def _create_directories(self) -> None:
        pass  # state is kept on Kafka, not in files

    def refuse(self, error: SnapshotError) -> None:
        """Stop the process, since the saved state of an agent cannot be loaded; say why, once."""
        if not self.is_refused:
            self.is_refused = True
            _log.error("saved state cannot be loaded: the worker stops", reason=str(error))
            stop_this_process()

    async def on_start(self) -> None:
        """Report from now on."""
        await super().on_start()
        if self.reporter is not None:
            self.reporter.begin(self.report, asyncio.get_running_loop())
        for each in self.background:
            each.start()

    async def on_stop(self) -> None:
        """End every agent's stream before Faust cancels the agents.

        Faust's supervisor may be replacing an agent at that moment. The replacement would
        never be cancelled, and Faust would wait for it forever.
        """
        for engine in self.engines:
            engine.stop()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Commit, save state and leave the groups, side by side, once the agents have stopped."""
        stopping = [asyncio.to_thread(each.stop) for each in self.background]
        await asyncio.gather(*(engine.close() for engine in self.engines), *stopping)
        await super().on_shutdown()


def create_app(settings: Settings, note: FoldingNote | None = None) -> MillraceApp:
    """Return the worker that the settings describe. It joins no consumer group until it starts.

    Parameters
    ----------
    note
        Where it says what it is folding.

    Raises
    ------
    SettingsError, DefinitionError
        No pipeline is set, or its definition is wrong.
    BrokerError
        The broker does not answer, or has topics that do not fit the pipeline.
    """
    for name, nearest in unknown_settings(os.environ).items():
        event = "ignoring an environment variable that is not a setting"
        _log.warning(event, name=name, did_you_mean=nearest or None)
    if not has_fixed_hashes():
        _log.warning("own models may differ between workers: set PYTHONHASHSEED=0 for each")
    pipeline = settings.load_pipeline()
    _try(pipeline, settings)
    metrics = Metrics(pipeline.name)
    metrics.workers_expected.labels().set(settings.expected_workers)
    app = _faust_app(pipeline)
    if settings.broker == EMBEDDED:
        app.embedded = EmbeddedBroker()
        settings = settings.model_copy(update={"broker": app.embedded.address})
        _log.info(
            "embedded broker: outputs are at least once, and topics end with this process",
            address=settings.bootstrap,
        )
    _assemble(app, pipeline, settings, metrics, note or FoldingNote())
    for engine in app.engines:
        define_agent(app, engine)
    app.report = lambda: Report.of(pipeline.name, app.engines, metrics.render())

    @app.timer(_PROGRESS_CHECK_SECONDS)  # type: ignore[untyped-decorator]  # Faust's own
    async def check_progress() -> None:
        for engine in app.engines:
            engine.check_progress()

    return app


def _try(pipeline: Pipeline, settings: Settings) -> None:
    """Train, save and load each model, before anything is created or read."""
    for place, seed in pipeline.seeds.items():
        _log.info("gave a seed to a model that had none", parameter=place, seed=seed)
    for warning in tried(settings.require_pipeline()):
        _log.warning("a dry run on made-up events did not go through", detail=warning)


def _faust_app(pipeline: Pipeline) -> MillraceApp:
    """Return an app without agents."""
    app = MillraceApp(
        f"millrace-{pipeline.name}",
        broker="kafka://127.0.0.1:0",  # never used: see _AgentsOnly
        store="memory://",
        stream_wait_empty=False,
        producer_partitioner=None,
        Worker=_Worker,
    )
    app.flow_control.resume()  # channels begin suspended, waiting for Faust's own consumer
    return app


def _assemble(
    app: MillraceApp, pipeline: Pipeline, settings: Settings, metrics: Metrics, note: FoldingNote
) -> None:
    """Give the app its engines, and what is done beside them."""
    key = state_key(settings)  # before anything is created
    clients = KafkaClients(settings)
    find_sources(clients, pipeline, settings)
    schema_ids = registered_outputs(settings, topic_prefix(pipeline))
    partitions = prepare_topics(clients, pipeline, settings)
    definitions = settled(clients, pipeline, settings, key)
    archiver = archiver_of(settings, pipeline, clients, key, metrics)
    app.engines = tuple(
        Assembly(
            *(agent, definitions, settings, clients, partitions, key, metrics),
            archiver=archiver if "learning" in agent else None,
            note=note,
            schema_ids=schema_ids,
        ).engine(on_refused=app.refuse)
        for agent in settings.agents_of(pipeline)
    )
    connect = partial(InForceReader, clients, pipeline, settings, key)

    def is_folding(record: Skipped) -> bool:
        """Whether a process that comes back would begin behind it: an embedded broker does not."""
        return not clients.is_embedded and any(each.is_folding(record) for each in app.engines)

    follower = InForceFollower(connect, definitions, is_folding)
    ticker = ticker_of(settings, pipeline, clients, definitions, app.engines)
    app.background = tuple(each for each in (follower, archiver, ticker) if each is not None)


def _serve_pages(settings: Settings) -> Reporter:
    """Serve the pages of this process in this process; return where its reports go."""
    ours, theirs = Pipe()
    reader = ReportReader(ours)

    def look() -> list[ProcessState]:
        refresh([reader])
        return [ProcessState(1, reader.last, reader.age_seconds)]

    PageServer(settings.web_host, settings.web_port, Pages(look))
    return Reporter(theirs)


def __getattr__(name: str) -> MillraceApp:
    """Make `app` when it is first asked for, as `faust -A millrace.streams.app` does.

    So importing this module starts nothing.
    """
    if name == "app":
        redact_tracebacks()
        settings = read_settings()
        app = globals()["app"] = create_app(settings)
        app.reporter = _serve_pages(settings)
        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
