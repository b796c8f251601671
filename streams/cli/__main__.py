"""`python -m streams.cli` is `millrace`."""

from streams.cli import main

main()
