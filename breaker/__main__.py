"""`python -m breaker` is the command `breaker`."""

from breaker.cli import main

main()
