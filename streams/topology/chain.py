"""Which operators share an agent.

Two operators are joined by a topic or by a function call. Which, is a setting: by name
(`default`, `full`, `split`) or written out, agents separated by commas and the operators of one
agent joined by plus signs. The results are the same in every setting that keeps prediction and
learning together; apart, prediction scales out on its own and follows the topic `models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from millrace.schemas import SettingsError
from millrace.streams.operators.base import Topics
from millrace.streams.operators.registry import (
    BESIDE,
    CHAINED_BY_DEFAULT,
    CONTROL,
    OPERATORS,
    operator_class,
)

NAMED = {
    "default": "".join(
        ("+" if name in CHAINED_BY_DEFAULT else ",") + name for name in OPERATORS
    ).strip(","),
    "full": "+".join(OPERATORS),
    "split": ",".join(OPERATORS),
}
"""Name of a chain to the chain written out."""


@dataclass(frozen=True)
class AgentSpec:
    """One agent: the operators that it chains, in order.

    Parameters
    ----------
    operators
        Their names.
    sources
        Topics of the user's own that ingest reads.

    Examples
    --------
    >>> agent = AgentSpec(("prediction", "learning"))
    >>> agent.name, sorted(agent.reads)
    ('prediction-learning', ['features'])
    """

    operators: tuple[str, ...]
    sources: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name in the consumer group, in `state.<name>` and in metrics."""
        return "-".join(self.operators)

    def __contains__(self, operator: str) -> bool:
        return operator in self.operators

    @property
    def routes(self) -> bool:
        """Whether it sends each record to its partition, on whichever the record has come."""
        return "ingest" in self and "feature" not in self

    @property
    def keeps_order(self) -> bool:
        """Whether what it learns depends on the order in which it takes several inputs.

        Not with `models` among them: it is compacted, and cannot be read again in order.
        """
        return len(self.reads) > 1 and "models" not in self.reads and not self.routes

    @cached_property
    def reads(self) -> frozenset[str]:
        """Topics, without prefix, that come from outside the agent."""
        return self._topics.reads - self._topics.writes

    @cached_property
    def writes(self) -> frozenset[str]:
        """Topics, without prefix, that its operators write, for each other too."""
        return self._topics.writes

    @cached_property
    def links(self) -> frozenset[str]:
        """Topics that it writes and reads itself."""
        return self._topics.writes & self._topics.reads

    @cached_property
    def _topics(self) -> Topics:
        each = [operator_class(name).topics_in(self.operators) for name in self.operators]
        return Topics(
            self.sources.union(*(one.reads for one in each)),
            frozenset().union(*(one.writes for one in each)),
        )


CONTROL_AGENT = AgentSpec((CONTROL,))
AGENTS_BESIDE = tuple(AgentSpec((name,)) for name in BESIDE)
"""The agents that are beside those of every chain."""


def parse_chain(text: str, sources: frozenset[str] = frozenset()) -> tuple[AgentSpec, ...]:
    """Return the agents that a chain setting describes.

    Parameters
    ----------
    sources
        Topics of the user's own that are read.

    Raises
    ------
    SettingsError
        An operator is unknown, missing, repeated or out of order.

    Examples
    --------
    >>> [agent.name for agent in parse_chain("default")]
    ['ingest', 'feature', 'prediction-learning', 'drift']
    >>> [agent.name for agent in parse_chain("ingest,feature+prediction+learning,drift")]
    ['ingest', 'feature-prediction-learning', 'drift']
    """
    written_out = NAMED.get(text, text)
    chained = [
        tuple(operator.strip() for operator in agent.split("+")) for agent in written_out.split(",")
    ]
    if tuple(operator for agent in chained for operator in agent) != OPERATORS:
        raise SettingsError(
            f"chain must be one of {', '.join(NAMED)}, or {', '.join(OPERATORS)} in this order,"
            f" joined by ',' or '+'; got {text!r}"
        )
    return tuple(
        AgentSpec(each, sources if OPERATORS[0] in each else frozenset()) for each in chained
    )
