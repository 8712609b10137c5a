"""How fast a recovering fleet goes: the rate, and what is known about the upstream.

The readable statement of `lua/include/pace.lua`.
"""

import math
from dataclasses import dataclass

# Calls per second: the pace never falls below this.
SLOWEST = 1.0 / 60.0
# Calls per second: the pace of a fleet about which nothing is known.
UNKNOWN = 1.0
# Milliseconds: how long the rate takes from `low` to `top` after a trip.
FIRST_RISE = 1_000.0
# Milliseconds: the same while less gets through than recently.
QUICK_RISE = 3_000.0
# Milliseconds: the same as a rule.
USUAL_RISE = 10_000.0
# Calls: a usual rise is never shorter than this many calls at `top`.
RISE_CALLS = 150.0
# Rises: from one rise until this many, the rate grows by 1 + STEEP * x^3; then it doubles.
LINGER = 1.5
STEEP = 2.0
# Doublings in the length of one rise, once the rate doubles.
DOUBLINGS = 7.0
# Milliseconds: the rate never doubles faster than this.
DOUBLING = 600.0
# Milliseconds: a remembered rate fades by half in this time.
BEST_HALVES = 60_000.0
# Milliseconds without a job after one rate limit error before any success; each further error
# doubles this, up to USUAL_SILENCE.
FIRST_SILENCE = 250.0
USUAL_SILENCE = 5_000.0
# Rate limit errors in a row: from then on each adds LONGER_SILENCE, up to LONGEST_SILENCE. A long
# outage then costs few jobs, and its end is noticed within a tenth of its length.
USUAL_MISSES = 12.0
LONGER_SILENCE = 500.0
LONGEST_SILENCE = 60_000.0
# Calls per second: from here on a rate is written without decimals.
FOUR_DIGITS = 999.5

# The fields that are moments: they move along when the store's clock is set back.
MOMENTS = ("slot", "began", "proven", "best_at", "calm_from", "calm_at", "quiet_from")


def doubled(base: float, times: float) -> float:
    """Double `base` this many times; linear between whole times, so equal in any language."""
    if times <= 0:
        return base
    whole = min(60, int(times))
    return math.ldexp(base, whole) * (1.0 + min(1.0, times - whole))


def as_text(rate: float) -> str:
    """Write a rate for people: three digits are enough, and never 1.2e+03."""
    return f"{rate:.3g}" if rate < FOUR_DIGITS else f"{rate:.0f}"


def usual_rise(rate: float) -> float:
    """How long a rise takes as a rule, in milliseconds."""
    return max(USUAL_RISE, RISE_CALLS * 1000.0 / rate)


@dataclass
class Rate:
    """The fields of a pace, and its rate. The state hash's `pace` has them in this order.

    Attributes:
        top: the rate towards which it rises.
        low: the rate from which it rises.
        rise: how long the rise takes.
        slot: when the next call may go.
        turns: the number of the last turn that was given.
        called: the turns up to this number have had their slot.
        told: the rate that was pushed last.
        began: when the first call of the present epoch could go.
        proven: when the epoch's first success came, moved on by all time unused since; 0 if
            none came. In the future while the rate is held.
        given: how many of its slots were taken, in units (a call is one).
        idle: how much of its time went unused.
        paused: how long the pause before it was.
        misses: errors in a row, each before any success.
        early: cuts in a row that came too early to show what the upstream allows.
        best: the best rate that was delivered, at `best_at`.
        best_at: when that was.
        delivered: what the workers had delivered before, summed up.
        is_new: 1 while only `delivered` is known.
        round: how often the workers were asked what they had delivered.
        calm_from: since when unused slots are counted.
        calm_idle: how much of that time went unused.
        calm_at: when the last recovery ended because the pace limited nothing; 0 if never.
        relapses: how often in a row a trip showed that it had ended too early.
        quiet_from: the last error, or the end of a hold.
    """

    top: float = UNKNOWN
    low: float = UNKNOWN
    rise: float = FIRST_RISE
    slot: float = 0.0
    turns: float = 0.0
    told: float = 0.0
    began: float = 0.0
    proven: float = 0.0
    given: float = 0.0
    idle: float = 0.0
    paused: float = 0.0
    misses: float = 0.0
    early: float = 0.0
    best: float = 0.0
    best_at: float = 0.0
    delivered: float = 0.0
    is_new: float = 0.0
    calm_from: float = 0.0
    calm_idle: float = 0.0
    calm_at: float = 0.0
    relapses: float = 0.0
    called: float = 0.0
    round: float = 0.0
    quiet_from: float = 0.0

    # -- the rate

    def rate(self, now: float) -> float:
        """Calls per second at present."""
        # Slots up to now that no worker took count as idle, even before keep_up() notes them.
        return self._rate_at(min(now, self.slot) if self.proven > 0 else now)

    def promise(self, now: float) -> float:
        """Calls per second by which turns are given: a hesitant rate does not last."""
        return self.rate(now) if self.proven > 0 else self.low

    def _rate_at(self, at: float) -> float:
        if self.proven > 0:
            return self._curve(max(0.0, at - self.proven))
        if self.misses == 0:
            return self.low
        hesitant = doubled(1000.0 / self._silence(), (at - self.began) / 1000.0)
        return min(self.low, hesitant)

    def _curve(self, gone: float) -> float:
        share = gone / self.rise
        if share <= 1.0:
            left = 1.0 - share
            return self.top - (self.top - self.low) * left * left * left
        over = min(share, LINGER) - 1.0
        beyond = self.top * (1.0 + STEEP * over * over * over)
        each = max(DOUBLING, self.rise / DOUBLINGS)
        return doubled(beyond, (gone - LINGER * self.rise) / each)

    def _silence(self) -> float:
        if self.misses == 0:
            return 0.0
        silence = min(USUAL_SILENCE, math.ldexp(FIRST_SILENCE, int(min(self.misses, 10.0)) - 1))
        more = LONGER_SILENCE * max(0.0, self.misses - USUAL_MISSES)
        return min(LONGEST_SILENCE, silence + more)

    # -- time

    def keep_up(self, now: float) -> None:
        """Note the slots that went unused until now: their turns have passed."""
        unused = now - self.slot
        if unused > 0:
            passed = unused * self._rate_at(self.slot) / 1000.0
            self.called = min(self.turns, self.called + passed)
            self.calm_idle += unused
            self._stand_still(now, unused)

    def thaw(self, now: float) -> None:
        """Go on after an operator's pause, in which no slot could be used and no turn passed."""
        self._stand_still(now, max(0.0, now - self.slot))
        self.calm_from, self.calm_idle = now, 0.0
        self.quiet_from = max(self.quiet_from, now)

    def _stand_still(self, now: float, unused: float) -> None:
        self.slot = max(self.slot, now)
        self.idle += unused
        if 0 < self.proven <= now:
            self.proven = min(now, self.proven + unused)

    def shift(self, ms: float) -> None:
        """Move every moment: the store's clock was set back."""
        for name in MOMENTS:
            if getattr(self, name) > 0:
                setattr(self, name, getattr(self, name) + ms)

    # -- what it remembers

    def best_now(self, now: float) -> float:
        """The best rate that was delivered; it fades."""
        return self.best / doubled(1.0, (now - self.best_at) / BEST_HALVES)

    def remember(self, delivered: float, now: float) -> None:
        """Remember a rate that was delivered for long enough."""
        self.best, self.best_at = max(self.best_now(now), delivered), now
