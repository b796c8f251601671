"""What a bundle consists of, its canonical bytes, and its digest.

The digest covers what decides how a definition behaves. It is the same on every machine: paths are
relative, texts are kept to the byte, and there are no times.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import PurePosixPath

from millrace.models.user_code import shown
from millrace.schemas import DefinitionError

LARGEST_BYTES = 1_000_000
"""Limit of the files of a bundle together, in UTF-8."""

LEVELS_UP = 3
"""How many folders above the pipeline's its files may be."""

_DIGITS = 32
_LEFT_OUT = frozenset({"description", "made_with"})


@dataclass(frozen=True)
class Bundle:
    r"""A definition with all of the author's own files that it needs.

    Parameters
    ----------
    reference
        The pipeline, as `module:attribute`.
    modules
        Name of each module of the author's to its path in `files`. The name is the one that it has
        where it is loaded from its file.
    files
        Path from the pipeline's folder to text: sources and schemas.
    description
        What its parts are, for who compares two: any object of JSON. It is not in the digest.
    made_with
        Name to version of what it was made with. It is not in the digest.

    Raises
    ------
    DefinitionError
        The files are too large, or it is malformed.

    Examples
    --------
    >>> bundle = Bundle("visits:pipeline", {"visits": "visits.py"}, {"visits.py": "...\n"})
    >>> Bundle.from_bytes(bundle.to_bytes()) == bundle, bundle.digest[:8]
    (True, 'f913ef2f')
    """

    reference: str
    modules: Mapping[str, str]
    files: Mapping[str, str]
    description: Mapping[str, object] = field(default_factory=dict)
    made_with: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_form()
        sizes = {path: len(text.encode(errors="replace")) for path, text in self.files.items()}
        total, largest = sum(sizes.values()), sorted(sizes, key=lambda each: -sizes[each])[:3]
        if total > LARGEST_BYTES:
            named = ", ".join(f"{path} {sizes[path]:,}" for path in largest)
            raise DefinitionError(
                f"the files of a definition must have {LARGEST_BYTES:,} bytes or less together; got"
                f" {total:,}, the largest are {named}. Keep data out of the pipeline's modules"
            )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides, its first 32 hexadecimal digits: each prediction has it."""
        decides = {name: value for name, value in _fields(self).items() if name not in _LEFT_OUT}
        return sha256(canonical(decides)).hexdigest()[:_DIGITS]

    @property
    def schemas(self) -> dict[str, str]:
        """Path to text of the files that are no modules."""
        sources = {*self.modules.values()}
        return {path: text for path, text in self.files.items() if path not in sources}

    def to_bytes(self) -> bytes:
        """Return the bundle as JSON in UTF-8, the same bytes for equal bundles."""
        return canonical({**_fields(self), "digest": self.digest})

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """Return the bundle in `data`.

        Raises
        ------
        DefinitionError
            It is malformed, too large, or of another digest than it says.
        """
        try:
            document = json.loads(data)
            said = document.pop("digest")
            bundle = cls(**document)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise _malformed(data) from error
        if said != bundle.digest:
            raise DefinitionError(
                f"a bundle must be of the digest that it says, {shown(said)}; got one of"
                f" {bundle.digest}. It was changed: make it again"
            )
        return bundle

    def _check_form(self) -> None:
        module, _, attribute = str(self.reference).partition(":")
        is_formed = (
            all(isinstance(each, Mapping) for each in (*_fields(self).values(),)[1:])
            and all(_is_texts(each) for each in (self.modules, self.files, self.made_with))
            and module in self.modules
            and attribute.isidentifier()
            and all(part.isidentifier() for name in self.modules for part in name.split("."))
            and all(_is_inside(path) for path in self.files)
            and self.files.keys() >= {*self.modules.values()}
        )
        if not is_formed:
            raise _malformed({name: shown(value) for name, value in _fields(self).items()})


def canonical(data: object) -> bytes:
    """Return JSON in one form: sorted, without spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _fields(bundle: Bundle) -> dict[str, object]:
    return {name: getattr(bundle, name) for name in Bundle.__dataclass_fields__}


def _is_texts(found: Mapping[str, str]) -> bool:
    return all(isinstance(each, str) for pair in found.items() for each in pair)


def _is_inside(path: str) -> bool:
    """Whether a path leads to where a file of a bundle may be."""
    below = path.removeprefix("../" * min(path.count("../"), LEVELS_UP))
    return str(PurePosixPath(below)) == below and {"/", ".."}.isdisjoint(PurePosixPath(below).parts)


def _malformed(got: object) -> DefinitionError:
    return DefinitionError(
        "a bundle must have the reference of a pipeline, and the modules and files that it needs;"
        f" got {shown(got)}. Make it again from the pipeline's file"
    )
