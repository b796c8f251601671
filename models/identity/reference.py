"""What names a definition in force: the digest of its bundle, and what was set since.

Whatever says which definition is in force at a place in the log (saved state, committed offsets,
predictions) says it by a reference. Of a definition in which nothing was set it is the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from millrace.models.pipeline.settings import INPUTS, OF_INPUT

_DIGITS_SHOWN = 12


@dataclass(frozen=True)
class Reference:
    """A reference; `str` returns its one form.

    Parameters
    ----------
    digest
        Of the bundle.
    settings
        Name of each setting that was set to its value.

    Examples
    --------
    >>> str(Reference("1f9a", {"drift.policy": "reset", "drift.cooldown": "100"}))
    '1f9a?drift.cooldown=100&drift.policy=reset'
    >>> Reference.of("1f9a").settings
    {}
    """

    digest: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Reference:
        """Return the reference that a text is."""
        digest, _, settings = text.partition("?")
        return cls(digest, dict(parse_qsl(settings, keep_blank_values=True)))

    def with_setting(self, name: str, value: str) -> Reference:
        """Return the reference once a setting was set, too."""
        return Reference(self.digest, {**self.without_setting(name).settings, name: value})

    def without_setting(self, name: str) -> Reference:
        """Return the reference where a setting was not set, nor a part of it.

        Examples
        --------
        >>> one = Reference("1f9a", {"drift.inputs.age": "kswin", "drift.loss": "none"})
        >>> str(one.without_setting("drift.inputs"))
        '1f9a?drift.loss=none'
        """
        gone = {name}
        if name == INPUTS:
            gone |= {each for each in self.settings if each.startswith(OF_INPUT)}
        kept = {each: value for each, value in self.settings.items() if each not in gone}
        return Reference(self.digest, kept)

    @property
    def shortened(self) -> str:
        """The reference with the first digits of the digest, for people.

        Examples
        --------
        >>> Reference("1f9a" * 8, {"drift.policy": "reset"}).shortened
        '1f9a1f9a1f9a?drift.policy=reset'
        """
        return str(Reference(self.digest[:_DIGITS_SHOWN], self.settings))

    def __str__(self) -> str:
        settings = urlencode(sorted(self.settings.items()))
        return f"{self.digest}?{settings}" if settings else self.digest
