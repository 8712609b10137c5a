"""A measured figure: the middle of many rounds, and how far the machine scattered them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """What a figure is held against."""

    limit: float
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether the figure is good enough."""
        return value >= self.limit if self.is_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    Attributes:
        measure: the part of the benchmark it comes from.
        what: what was measured.
        value: the figure itself.
        unit: ns, ms, us, commands, jobs/s, bytes, KiB, or x for a ratio.
        low: the smallest round.
        high: the largest round.
        how: how `value` was taken from the rounds.
        ratios: how many times another figure of the same run this is, by the other's name.
        target: what it should be; None if there is no such wish.
    """

    measure: str
    what: str
    value: float
    unit: str
    low: float
    high: float
    how: str
    ratios: Mapping[str, float] = field(default_factory=dict)
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        return None if self.target is None else self.target.is_met(self.value)


def median_of(
    measure: str,
    what: str,
    unit: str,
    rounds: Sequence[float],
    *,
    against: Mapping[str, Sequence[float]] | None = None,
    target: Target | None = None,
) -> Figure:
    """The median of all rounds, with the smallest and the largest as the noise.

    Args:
        measure: the part of the benchmark.
        what: what was measured.
        unit: its unit.
        rounds: the figure of each round.
        against: the rounds of what it is to be compared with.
        target: what it should be.
    """
    middle = statistics.median(rounds)
    ratios = {
        name: middle / statistics.median(other) for name, other in (against or {}).items()
    }
    how = f"median of {len(rounds)}"
    return Figure(measure, what, middle, unit, min(rounds), max(rounds), how, ratios, target)


def percentile_of(
    measure: str,
    what: str,
    unit: str,
    rounds: Sequence[float],
    *,
    share: float,
    target: Target | None = None,
) -> Figure:
    """The round that `share` of all rounds do not exceed (nearest rank: none is made up)."""
    ranked = sorted(rounds)
    rank = max(0, -(-int(share * 100) * len(ranked) // 100) - 1)
    how = f"p{share * 100:.0f} of {len(ranked)}"
    return Figure(measure, what, ranked[rank], unit, ranked[0], ranked[-1], how, target=target)
