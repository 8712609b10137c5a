"""How fast a recovering breaker lets jobs go: one schedule for the whole fleet.

The readable statement of `lua/include/pace.lua`, used by `breaker.machine`. Times are milliseconds
on the clock that is given, rates are calls per second.

Slots are spaced by GCRA (ITU-T I.371, its virtual scheduling form): `slot` is when the next call
may go. How far they are apart follows a curve with the shape of CUBIC (RFC 9438): after a cut it
rises fast, lingers where the last error came, then looks further; as RFC 7661 has it, its clock
stands still while slots go unused. Two things are not from there. A cut goes by what was
delivered since the last one, so that the burst an upstream allows after a rest does not mislead
it. And an error before any success says that nothing gets through at all: then the rate is kept,
and silence doubles.
"""

import math
from dataclasses import dataclass

# Slots are given out so far ahead, or one slot if that is more: a cut finds few of them taken.
HORIZON = 1000.0
# Whoever must come again does so this long before the turn, so as to find a slot in time.
LEAD = 500.0
# Whoever comes in turn and cannot wait may go so early.
TOLERANCE = 50.0
LONGEST_WAIT = 60_000.0
SLOWEST = 1.0 / 60.0
# The pace of a fleet of which nothing is known.
UNKNOWN = 1.0
# From the cut until the rate is back where the error came: as a rule, at least in calls, while
# less gets through than did lately, and after a trip. What costs a pause is not tried again
# before so many times its length, or so long.
COSTS, COSTS_MOST = 20.0, 300_000.0
RISE, RISE_CALLS, QUICK_RISE, FIRST_RISE = 10_000.0, 150.0, 3_000.0, 1_000.0
IS_LESS = 0.7
# Beyond the rise: how steep; after how many rises it doubles; how often at most, or in a rise.
STEEP, LINGER, DOUBLING, DOUBLINGS = 2.0, 1.5, 600.0, 7.0
# An epoch tells what the upstream allows if it lasted so long and had so many calls.
TELLING, TELLING_CALLS, RESTED = 1000.0, 10.0, 0.25
# What was delivered for so long is remembered, and half as much of it after each such time.
LASTING, BEST_HALVES = 5_000.0, 60_000.0
# An error before any success doubles the silence, up to the usual one; after so many each adds a
# little, so that a long outage costs few jobs, and its end is found within a tenth of its length.
FIRST_SILENCE, USUAL_SILENCE = 250.0, 5_000.0
USUAL_MISSES, LONGER_SILENCE, LONGEST_SILENCE = 12.0, 500.0, 60_000.0
# Closed again when of so long, or of so many slots, a third went unused; a trip that soon after
# shows that this was too early, and doubles it.
CALM, CALM_SLOTS, RELAPSE, MOST_RELAPSES = 10_000.0, 10.0, 600_000.0, 6.0
# From here on a rate is written as 1000.
FOUR_DIGITS = 999.5


def doubled(base: float, times: float) -> float:
    """`base` doubled so many times; straight between whole times, so equal in any language."""
    if times <= 0:
        return base
    whole = min(60, int(times))
    return math.ldexp(base, whole) * (1.0 + min(1.0, times - whole))


def as_text(rate: float) -> str:
    """A rate as people read it: three digits tell enough, and never 1.2e+03."""
    return f"{rate:.3g}" if rate < FOUR_DIGITS else f"{rate:.0f}"


@dataclass
class Pace:
    """The schedule. Its fields, in this order, are the state hash's `pace`.

    Attributes:
        top: the rate towards which it rises.
        low: the rate from which it rises.
        rise: how long that takes.
        slot: when the next call may go.
        line: until when turns were given to those who found no slot near enough.
        told: the rate by which they were given.
        began: when the first call of the present epoch could go.
        proven: when its first success came, and later by all time unused since; 0: none came.
            Ahead while the rate is held.
        given: how many of its slots were taken.
        idle: how much of its time went unused.
        paused: how long the pause before it was.
        misses: errors in a row, each before any success.
        early: cuts in a row that came too early to tell what the upstream allows.
        best: what was delivered at best, at `best_at`.
        best_at: when that was.
        delivered: what workers say they delivered before the trip, all together.
        is_new: 1 while that is all that is known.
        calm_from: since when it is watched whether slots go unused.
        calm_idle: how much of that time did.
        calm_at: when it held nobody back any more the last time; 0: never.
        relapses: how often in a row a trip showed that this was too early.
    """

    top: float = UNKNOWN
    low: float = UNKNOWN
    rise: float = FIRST_RISE
    slot: float = 0.0
    line: float = 0.0
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

    # -- what holds

    def rate(self, now: float) -> float:
        """Calls per second at present."""
        # What nobody has taken by now has been idle, whether or not it is noted yet.
        return self._rate_at(min(now, self.slot) if self.proven > 0 else now)

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

    def is_calm(self, now: float) -> bool:
        """Whether it holds nobody back any more."""
        self._note_unused(now)
        calm = doubled(CALM, min(self.relapses, MOST_RELAPSES))
        length = max(calm, self.paused, CALM_SLOTS * 1000.0 / self.rate(now))
        watched = now - self.calm_from
        if self.proven == 0 or watched < length or self.line > now:
            return False  # whoever stands in line is held back
        unused, self.calm_from, self.calm_idle = self.calm_idle, now, 0.0
        if unused < watched / 3.0:
            return False
        self.calm_at = now
        return True

    # -- a pause and its end

    def trip(self, now: float, pause: float) -> None:
        """The breaker trips: what will be allowed after so long a pause, nobody knows."""
        is_relapse = self.calm_at > 0 and 0 <= now - self.calm_at < RELAPSE
        self.relapses = self.relapses + 1.0 if is_relapse else 0.0
        self.top, self.low, self.rise = UNKNOWN, UNKNOWN, FIRST_RISE
        self.delivered, self.is_new, self.paused = 0.0, 1.0, pause
        self.misses, self.early = 1.0, 0.0

    def begin(self, at: float) -> None:
        """A new epoch, whose calls may go from `at` on."""
        self.slot = self.began = self.calm_from = at
        self.line = self.proven = self.given = self.idle = self.calm_idle = 0.0
        self.told = self.low

    def shift(self, ms: float) -> None:
        """The store's clock was set: every moment moves with it."""
        for name in ("slot", "line", "began", "proven", "best_at", "calm_from", "calm_at"):
            if getattr(self, name) > 0:
                setattr(self, name, getattr(self, name) + ms)

    def thaw(self, now: float) -> None:
        """An operator's pause is over: its time was no time in which slots went unused."""
        unused = max(0.0, now - self.slot)
        self.slot, self.calm_from, self.calm_idle = max(self.slot, now), now, 0.0
        self.idle += unused
        if 0 < self.proven <= now:
            self.proven = min(now, self.proven + unused)

    def learn(self, share: float, now: float) -> None:
        """Take in what a worker had delivered per second before the trip."""
        if self.is_new == 0 or share <= 0:
            return
        self.delivered += share
        self.top = max(self.delivered, SLOWEST)
        self.low = max(self.top / 2.0, SLOWEST)
        self.told = min(self.told, self.low)
        self._remember(self.delivered, now)

    def prove(self, now: float) -> bool:
        """A call of this epoch went through. Returns whether it was the first."""
        if self.proven > 0:
            return False
        self.proven = max(now, self.began)
        if self.misses > 0:
            self.misses, self.rise = 0.0, min(self.rise, QUICK_RISE)
            # Slots taken at a hesitant pace do not hold up the others.
            self.slot = min(self.slot, self.proven + self._gap(self.proven))
        return True

    def hold(self, now: float, low: float, top: float, length: float) -> None:
        """Go at `low` for so long, and only then begin to rise."""
        self.top, self.low, self.rise = max(top, SLOWEST), max(low, SLOWEST), QUICK_RISE
        self.is_new = self.misses = self.paused = 0.0
        self.begin(now)
        self.proven = now + length

    # -- slots

    def take(self, now: float, patience: float, *, in_turn: bool) -> tuple[bool, float]:
        """Take the next slot, if it is near enough.

        Args:
            now: the time.
            patience: how long the caller would wait for it.
            in_turn: the caller was sent away, and comes when told to.

        Returns:
            True and how long it is until the slot, or False and when to come again.
        """
        # Further ahead than a cut and a gap set it: the clock has jumped back since.
        if self.began == 0 or self.slot > now + 3.0 * LONGEST_WAIT:
            self.begin(now)
        self._note_unused(now)
        gap = self._gap(self.slot)
        wait = self.slot - now
        near = min(patience, max(HORIZON, gap))
        if in_turn:
            near = max(near, TOLERANCE, gap if patience <= 0 else 0.0)
        if wait <= near and (in_turn or wait <= 0 or self.line <= self.slot):
            self.slot += gap
            self.given += 1.0
            return True, wait
        return False, self._turn(now, patience)

    def _gap(self, at: float) -> float:
        """How long after a slot the next one is. A pace that doubles meanwhile does not wait."""
        gap = 1000.0 / self._rate_at(at)
        while gap > 1.0 and self._rate_at(at + gap / 2.0) * gap / 2000.0 >= 1.0:
            gap /= 2.0
        return gap

    def _note_unused(self, now: float) -> None:
        unused = now - self.slot
        if unused <= 0:
            return
        self.slot = now
        self.idle += unused
        self.calm_idle += unused
        if 0 < self.proven <= now:
            self.proven = min(now, self.proven + unused)

    def _turn(self, now: float, patience: float) -> float:
        line = max(self.line, self.slot)
        if line - now > LONGEST_WAIT:
            return LONGEST_WAIT
        self.line = line + 1000.0 / self._promise(now)
        return max(1.0, line - now - (LEAD if patience > 0 else 0.0))

    def has_risen(self, now: float) -> bool:
        """Whether it is twice the rate that those in line were told; they are told anew then."""
        rate = self._promise(now)
        if rate < 2.0 * self.told:
            return False
        if self.line > now:
            self.line = now + (self.line - now) * self.told / rate
        self.told = rate
        return True

    def _promise(self, now: float) -> float:
        """The rate by which turns are given: a hesitant one does not last."""
        return self.rate(now) if self.proven > 0 else self.low

    # -- an error

    def cut(self, now: float, pause: float) -> float:
        """An error of the present epoch: slow down, and begin anew after `pause`.

        Returns:
            How long it is until the next call may go.
        """
        if self.proven > 0:
            self._slow_down(now, pause)
        else:
            self.misses += 1.0
        wait = max(pause, self._silence()) or 1000.0 / self.low
        self.paused = pause
        self.begin(now + wait)
        return wait

    def _slow_down(self, now: float, pause: float) -> None:
        self._note_unused(now)
        rate = self.rate(now)
        calls = self.given - max(0.0, self.slot - now) * rate / 1000.0
        gone = max(1.0, now - self.began)
        busy = gone - self.idle
        if self.idle > gone / 3.0:
            # It was not the pace that held them back, so the pace says little.
            rate = min(rate, 2000.0 * max(1.0, calls) / gone)
        if busy >= TELLING and calls >= TELLING_CALLS:
            # What a rest had saved up is not what is allowed in the long run. But the rest may
            # have been longer than was needed.
            rested = min(self.paused, busy * RESTED)
            delivered = min(rate, calls * 1000.0 / (busy + rested))
            self.early = 0.0
            self.top = max(1.05 * delivered, 0.85 * rate)
            self.low = max(0.95 * delivered, rate / 2.0)
            if busy >= LASTING:
                self._remember(delivered, now)
        else:
            self.early += 1.0
            self.top, self.low = rate, rate * max(0.5, 0.95 - 0.15 * self.early)
        self.top, self.low = max(self.top, SLOWEST), max(self.low, SLOWEST)
        self.is_new = 0.0
        best = self._best(now)
        is_less = best == 0 or self.top < IS_LESS * best
        costs = min(COSTS_MOST, COSTS * pause)
        usual = max(RISE, RISE_CALLS * 1000.0 / self.top, costs)
        self.rise = QUICK_RISE if is_less else usual

    def _best(self, now: float) -> float:
        return self.best / doubled(1.0, (now - self.best_at) / BEST_HALVES)

    def _remember(self, delivered: float, now: float) -> None:
        self.best, self.best_at = max(self._best(now), delivered), now
