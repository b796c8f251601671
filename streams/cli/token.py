"""`millrace token`: who may use `millrace serve`."""

from __future__ import annotations

from pathlib import Path

import click

_ROLES = ("viewer", "producer", "operator", "admin")
_EXAMPLES = """\b
Examples:
  millrace token --file tokens --name shop --role producer
  millrace serve -p loans -b localhost:9092 --tokens tokens"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where its hash is added; the file is made where there is none.",
)
@click.option("--name", required=True, help="Whose it is: the audit has it.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(_ROLES),
    help="viewer sees everything; producer sends events and labels, and asks for predictions;"
    " operator sees everything and gives commands; admin may do all.",
)
def token(file: Path, name: str, role: str) -> None:
    """Make a token for `millrace serve`.

    It is printed once. The file has its name, its role and its hash: nobody can read the token from
    it. To revoke a token, delete its line: a running server notices.
    """
    from millrace.streams.serve.tokens import Role, create_token

    click.echo(create_token(file, name, Role(role)))
