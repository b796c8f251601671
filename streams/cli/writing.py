"""Files that a command makes: none that is there is changed unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from millrace.schemas import MillraceError
from millrace.streams.cli.options import Command


def out_options(command: Command) -> Command:
    """Add --out and --force, for a command that calls `write_files`."""
    folder = click.Path(file_okay=False, path_type=Path)
    option: Callable[[Command], Command] = click.option(
        "--out", type=folder, metavar="DIR", help="Write the files to this folder."
    )
    forced: Callable[[Command], Command] = click.option(
        "--force", is_flag=True, help="With --out: overwrite files that differ."
    )
    return option(forced(command))


def write_files(folder: Path, texts: Mapping[str, str], *, force: bool) -> None:
    """Write files to a folder, and say on standard error how many.

    Parameters
    ----------
    folder
        It is made where it is missing.
    texts
        Name to content.
    force
        Whether files are overwritten that are there and differ.

    Raises
    ------
    MillraceError
        There are such files, and nothing was written; or the folder cannot be written.
    """
    try:
        there = {name: _text(folder / name) for name in texts if (folder / name).exists()}
        others = [str(folder / name) for name, text in there.items() if text != texts[name]]
        if others and not force:
            raise MillraceError(
                f"nothing was written, since files are there that differ: {', '.join(others)}. Add"
                " --force to overwrite them, or name another folder"
            )
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MillraceError(
            f"--out must be a folder that can be written; got {str(folder)!r}: {error.strerror}"
        ) from error
    click.echo(f"{len(texts)} files written to {folder}", err=True)


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")
