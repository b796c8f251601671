"""The command `set`: a setting of the definition in force has another value from its place on.

The definition is then named by another reference, from which each worker makes the same.
"""

from __future__ import annotations

from millrace.models.identity.reference import Reference
from millrace.models.pipeline.settings import canonical, parsed
from millrace.schemas import CommandError, DefinitionError
from millrace.streams.control.in_force import Arguments, InForce

_LONGEST = 1_000  # it is in the metadata of committed offsets, of which a broker takes 4,096 bytes


def check_setting(arguments: Arguments) -> None:
    """Refuse a name or a value that is wrong whatever is in force.

    Raises
    ------
    CommandError
        With what there is.
    """
    try:
        parsed(arguments["name"], arguments["value"])
    except DefinitionError as error:
        raise CommandError(str(error)) from error


def with_setting(in_force: InForce, arguments: Arguments) -> InForce:
    """Return what is in force once a setting has another value.

    Raises
    ------
    CommandError
        It does not fit what is in force.
    """
    from millrace.models.identity.setting import is_same_with  # noqa: PLC0415 - River: 1 s

    description = in_force.description
    if description is None:
        raise CommandError(
            "set needs a definition that is in the log, and none was deployed yet: start a worker,"
            " or use `millrace deploy`"
        )
    name, value = arguments["name"], arguments["value"]
    before = Reference.of(in_force.definition)
    without = before.without_setting(name)
    try:
        after = before.with_setting(name, canonical(name, value))
        if is_same_with(description, without.settings, after.settings):
            after = without  # it is as in the file
        is_same = is_same_with(description, before.settings, after.settings)
    except DefinitionError as error:
        raise CommandError(str(error)) from error
    if is_same:
        raise CommandError(f"{name} must be another than it is; got {value!r}")
    if len(str(after)) > _LONGEST:
        raise CommandError(
            f"what is set must have {_LONGEST} characters or less together, since each prediction"
            f" names it; got {len(str(after))}. Deploy a file that has it"
        )
    return in_force.under(after)
