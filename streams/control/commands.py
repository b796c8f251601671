"""Every command that there is. A new command is an entry here, and what its operators do with it.

A command is checked twice: its form here, by whoever sends it and by `control`; and what it names
by `control` alone, against what is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from millrace.models.pipeline.settings import NAMES
from millrace.schemas import CommandError
from millrace.streams.control.in_force import Arguments, InForce
from millrace.streams.control.setting import check_setting, with_setting
from millrace.streams.version_names import version_name

RULE = "rule:promotion"
"""Who asks for what the evidence says."""


@dataclass(frozen=True)
class CommandSpec:
    """What is known of a command.

    Parameters
    ----------
    does
        What it does, for people.
    takes
        Returns what is in force after it; a command that does not fit what is in force is refused.
    arguments
        Name to what it is, for people.
    optional
        The same of those that may be left out.
    operators
        Those that apply it: of an agent that has one of them, each task says in `audit` what it
        did. With none it is not written to the log: it is read ahead, from what is in force.
    tells
        Returns what tasks are told besides its arguments, of what is in force after it.
    checks
        Refuses arguments that are wrong whatever is in force.
    is_routine
        Whether workers send it by themselves, again and again. Then the audit has it only where it
        is refused, its id is not remembered, and the command line does not offer it.
    """

    does: str
    takes: Callable[[InForce, Arguments], InForce]
    arguments: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    operators: frozenset[str] = frozenset({"learning"})
    tells: Callable[[InForce], Arguments] = lambda _: {}
    checks: Callable[[Arguments], object] = lambda _: None
    is_routine: bool = False


DEPLOY = "deploy"
SET = "set"
RESTORE = "restore"
SNAPSHOT = "snapshot"
TICK = "tick"

BRINGS_DEFINITION = frozenset({DEPLOY, SET})
"""The commands with which another definition comes into force: they tell it as `definition`."""

UNTOLD = frozenset({"description", "signature"})
"""Arguments that `control` alone needs: neither tasks nor the audit have them."""

_AGAINST = {"champion": "who must serve as yet: where another one does, it is refused"}

COMMANDS: Mapping[str, CommandSpec] = {
    DEPLOY: CommandSpec(
        "Put another definition in force.",
        InForce.deployed,
        {
            "definition": "the digest of a bundle in the topic `definitions`",
            "description": "what the definition is, as data",
            "signature": "that of `millrace deploy`",
        },
    ),
    "promote": CommandSpec(
        "Let another candidate serve.",
        InForce.promoted,
        {"model": "the candidate that serves from now on"},
        _AGAINST,
    ),
    "rollback": CommandSpec(
        "Let the champion before serve again.",
        InForce.rolled_back,
        optional=_AGAINST,
        tells=lambda after: {"model": after.champion},
    ),
    "reset": CommandSpec(
        "Begin with an untrained model.",
        InForce.with_reset,
        {"model": "the candidate that begins untrained"},
    ),
    SET: CommandSpec(
        "Set the drift policy, or another setting of drift.",
        with_setting,
        {
            "name": f"one of {', '.join(NAMES)}",
            "value": "a policy, a number, the name of a detector, or `none` for no detector",
        },
        tells=lambda after: {"definition": after.definition},
        checks=check_setting,
    ),
    "pause": CommandSpec("Let models learn nothing until `resume`.", InForce.paused),
    "resume": CommandSpec("Let models learn again.", InForce.resumed),
    SNAPSHOT: CommandSpec(
        "Keep the state as it is now, in the archive.",
        InForce.unchanged,
        tells=lambda after: {
            "version": version_name(after.time_ms, f"snapshot-{after.number}"),
        },
    ),
    RESTORE: CommandSpec(
        "Go back to the models of an archived version.",
        InForce.restored,
        {
            "version": "the name of a version in the archive",
            "archived": "the definition that it was made under, and the files of its partitions",
        },
    ),
    "skip": CommandSpec(
        "Reject a record without folding it, where user code hangs or halts at it.",
        InForce.with_skipped,
        {
            "topic": "the topic of the record",
            "partition": "its partition",
            "offset": "its offset",
        },
        operators=frozenset(),
    ),
    TICK: CommandSpec(
        "Let time pass in which no events come.",
        InForce.ticked,
        {"seconds": "how much time has passed, a number up to 86400"},
        operators=frozenset({"feature", "prediction"}),
        tells=lambda after: {"seconds": str(after.tick_ms / 1000)},
        is_routine=True,
    ),
}
"""Name of a command to what is known of it."""

COMMANDED = frozenset().union(*(each.operators for each in COMMANDS.values()))
"""The operators that apply commands."""


def spec_of(name: str) -> CommandSpec:
    """Return what is known of a command.

    Raises
    ------
    CommandError
        There is no such command.
    """
    try:
        return COMMANDS[name]
    except KeyError:
        raise CommandError(f"command must be one of {', '.join(COMMANDS)}; got {name!r}") from None


def check_form(name: str, arguments: Mapping[str, str]) -> None:
    """Refuse a command that is unknown, or whose arguments are wrong whatever is in force.

    Raises
    ------
    CommandError
        Naming the argument.

    Examples
    --------
    >>> check_form("promote", {"model": "tree"})
    >>> check_form("promote", {"modle": "tree"})
    Traceback (most recent call last):
    millrace.schemas.errors.CommandError: promote must have the argument model, the candidate ...
    """
    taken = spec_of(name).arguments
    for argument, meaning in taken.items():
        if not arguments.get(argument):
            raise CommandError(
                f"{name} must have the argument {argument}, {meaning}; got {_listed(arguments)}"
            )
    for argument in arguments:
        if argument not in taken and argument not in spec_of(name).optional:
            raise CommandError(f"{name} must have {_listed(taken)}; got {_listed(arguments)}")
    spec_of(name).checks(arguments)


def _listed(arguments: Mapping[str, str]) -> str:
    names = ", ".join(map(repr, arguments))
    return f"the arguments {names}" if names else "no arguments"
