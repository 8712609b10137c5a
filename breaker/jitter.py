"""The random part of a wait, so that the workers of a fleet do not act at one moment.

The generator is the project's own. Jobs often seed Python's `random` with the same number in every
process: a fleet of such workers would wait in step. Nor may a wait of ours change the numbers that
a job draws.
"""

from random import Random

from breaker import forking

generator = Random()  # noqa: S311 - spreads waits, guards no secret

# A number from 0 to 1.
draw = generator.random
uniform = generator.uniform


@forking.in_child
def _seed_in_child() -> None:
    generator.seed()
