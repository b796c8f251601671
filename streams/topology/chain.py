"""Which operators share an agent.

Two operators are joined by a topic or by a function call. Which, is a setting: by name
(`default`, `full`, `split`) or written out, agents parted by commas and the operators of one
agent joined by plus signs. The results are the same in every setting that keeps prediction and
learning together; apart, prediction scales out on its own and follows the topic `models`.
"""

from __future__ import annotations

from dataclasses import dataclass

from millrace.schemas import SettingsError

FLOW = ("ingest", "feature", "prediction", "learning", "drift")
"""Every operator, in the order in which a record meets them."""

NAMED = {
    "default": "ingest,feature,prediction+learning,drift",
    "full": "ingest+feature+prediction+learning+drift",
    "split": "ingest,feature,prediction,learning,drift",
}


@dataclass(frozen=True)
class AgentSpec:
    """One agent: the operators that it chains, in order.

    Examples
    --------
    >>> AgentSpec(("prediction", "learning")).name
    'prediction-learning'
    """

    operators: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name in the consumer group, in `state.<name>` and in metrics."""
        return "-".join(self.operators)

    def __contains__(self, operator: str) -> bool:
        return operator in self.operators


def parse_chain(text: str) -> tuple[AgentSpec, ...]:
    """Return the agents that a chain setting describes.

    Raises
    ------
    SettingsError
        An operator is unknown, missing, there twice or out of order.

    Examples
    --------
    >>> [agent.name for agent in parse_chain("default")]
    ['ingest', 'feature', 'prediction-learning', 'drift']
    >>> [agent.name for agent in parse_chain("ingest,feature+prediction+learning,drift")]
    ['ingest', 'feature-prediction-learning', 'drift']
    """
    written_out = NAMED.get(text, text)
    agents = tuple(
        AgentSpec(tuple(operator.strip() for operator in agent.split("+")))
        for agent in written_out.split(",")
    )
    if tuple(operator for agent in agents for operator in agent.operators) != FLOW:
        raise SettingsError(
            f"chain requires one of {', '.join(NAMED)}, or {', '.join(FLOW)} in this order,"
            f" joined by ',' or '+'; got {text!r}"
        )
    return agents
