"""What a rate limit error does to the pace.

The readable statement of `lua/include/cut.lua`.
"""

from breaker.pacing.pace import QUICK_RISE, SLOWEST, usual_rise
from breaker.pacing.slots import Slots

# A cut uses the rate that was delivered since the last one, if there was so much to measure:
# milliseconds of work, and calls.
TELLING = 1_000.0
TELLING_CALLS = 4.0
# Share of the working time by which the pause before may count as work: an upstream may allow a
# burst after a pause, which says little about its steady limit. Only a share, as the pause may
# have been longer than needed.
RESTED = 0.25
# Factors: the rate rises to this much of what was delivered, or of the rate at the error.
ABOVE_DELIVERED = 1.05
BELOW_ERROR = 0.85
# Factors: and it begins at this much of what was delivered, or of the rate at the error.
BELOW_DELIVERED = 0.95
LEAST_LEFT = 0.5
# Share of the rate that each cut takes away which came too early to measure, growing by as much
# with each one in a row, down to LEAST_LEFT.
FIRST_LOSS = 0.05
FURTHER_LOSS = 0.15
# Share of the time: if more went unused, it was not the pace that limited the fleet.
UNUSED = 1.0 / 3.0
# Milliseconds: a rate that was delivered for at least this long is remembered.
LASTING = 5_000.0
# Share of the best remembered rate: below it, the upstream allows less than recently, and the
# rate rises quickly.
RECENT = 0.7
# Pauses and milliseconds: an error that cost a pause is not risked again for this many times its
# length, and at most for this long.
COSTS = 20.0
MOST_COSTS = 300_000.0


class Pace(Slots):
    """The schedule of a recovering fleet, whole."""

    def cut(self, now: float, pause: float) -> float:
        """Slow down after an error of the present epoch, and begin anew after `pause`.

        Returns:
            How long it is until the next call may go.
        """
        self.take_back(now)
        if self.proven > 0:
            self._slow_down(now, pause)
        else:
            self.misses += 1.0
        wait = max(pause, self._silence()) or 1000.0 / self.low
        self.paused = pause
        self.begin(now, wait)
        return wait

    def _slow_down(self, now: float, pause: float) -> None:
        rate, calls = self.rate(now), self.given
        gone = max(1.0, now - self.began)
        busy = gone - self.idle
        if self.idle > gone * UNUSED:
            rate = min(rate, 2000.0 * max(1.0, calls) / gone)
        if busy >= TELLING and calls >= TELLING_CALLS:
            rested = min(self.paused, busy * RESTED)
            delivered = min(rate, calls * 1000.0 / (busy + rested))
            self._go_by(delivered, rate)
            if busy >= LASTING:
                self.remember(delivered, now)
        else:
            self.early += 1.0
            kept = 1.0 - FIRST_LOSS - FURTHER_LOSS * self.early
            self.top, self.low = rate, rate * max(LEAST_LEFT, kept)
        self.top, self.low = max(self.top, SLOWEST), max(self.low, SLOWEST)
        self.is_new = 0.0
        self.rise = self._next_rise(now, pause)

    def _go_by(self, delivered: float, rate: float) -> None:
        self.early = 0.0
        self.top = max(ABOVE_DELIVERED * delivered, BELOW_ERROR * rate)
        self.low = max(BELOW_DELIVERED * delivered, LEAST_LEFT * rate)

    def _next_rise(self, now: float, pause: float) -> float:
        best = self.best_now(now)
        if best == 0 or self.top < RECENT * best:
            return QUICK_RISE
        return max(usual_rise(self.top), min(MOST_COSTS, COSTS * pause))
