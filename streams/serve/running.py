"""Which agents run, as far as topics and groups on the broker say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from millrace.schemas import SettingsError
from millrace.streams.operators.registry import BESIDE, OPERATORS
from millrace.streams.topology.chain import AGENTS_BESIDE, AgentSpec, parse_chain


def specs_of(names: Iterable[str]) -> list[AgentSpec]:
    """Return the agents of some names; names of none are left out.

    Examples
    --------
    >>> [each.name for each in specs_of(["ingest-feature", "control", "something"])]
    ['control', 'ingest-feature']
    """
    beside = {each.name: each for each in AGENTS_BESIDE}
    found = []
    for name in sorted({*names}):
        operators = tuple(name.split("-"))
        if name in beside:
            found.append(beside[name])
        elif _is_part_of_chain(operators):
            found.append(AgentSpec(operators))
    return found


def of_one_chain(furthest_first: Iterable[AgentSpec]) -> list[AgentSpec]:
    """Return the agents of the chain that is used, in order: of two with an operator, the furthest.

    Another chain may have been used before, whose topics of state are still there.
    """
    taken: set[str] = set()
    chosen = []
    for each in furthest_first:
        if taken.isdisjoint(each.operators):
            taken.update(each.operators)
            chosen.append(each)
    order = (*BESIDE[:1], *OPERATORS, *BESIDE[1:])
    return sorted(chosen, key=lambda each: order.index(each.operators[0]))


def _is_part_of_chain(operators: Sequence[str]) -> bool:
    """Whether operators follow each other in the pipeline."""
    if not {*operators} <= {*OPERATORS}:
        return False
    first = OPERATORS.index(operators[0])
    behind = OPERATORS[first + len(operators) :]
    try:
        parse_chain(",".join((*OPERATORS[:first], "+".join(operators), *behind)))
    except SettingsError:
        return False
    return True
