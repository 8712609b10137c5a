"""Which worker gets which slot, and when a worker that gets none comes again.

The readable statement of `lua/include/slots.lua`.
"""

from dataclasses import dataclass

from breaker.pacing.pace import QUICK_RISE, doubled
from breaker.pacing.start import Start

# Milliseconds: slots are granted at most this far ahead (or one slot, if slots are further
# apart), so that few are already taken when a cut comes.
HORIZON = 1_000.0
# Milliseconds: a worker in line asks again this long before its turn, unless its wait is shorter.
LEAD = 500.0
# Milliseconds: a worker in line that cannot wait may start this much early.
TOLERANCE = 50.0
# Milliseconds: a worker in line asks again at least this often, as the pace may have changed.
LONGEST_WAIT = 60_000.0
# Turns: more workers than this are not kept in line. It bounds what a client that asks again
# and again without naming its turn does to the others.
LONGEST_LINE = 100_000.0
# Milliseconds and slots: a recovery ends when a third of a time of this length went unused.
CALM = 10_000.0
CALM_SLOTS = 10.0
# Relapses: each doubles the time above, up to this many.
MOST_RELAPSES = 6.0
# Milliseconds of jobs without any result: then they count as a success. Absent evidence must not
# hold a recovery back for ever, and a rate limit error arrives long before a slow success.
PRESUMED = 5_000.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker that asks for a slot is answered.

    Attributes:
        granted: it has a slot.
        wait: milliseconds until that slot, or until it is to ask again.
        turn: the number of its turn, which it names when it asks again; 0 if the line is full.
    """

    granted: bool
    wait: float
    turn: float


class Slots(Start):
    """Slots are spaced by GCRA (ITU-T I.371, its virtual scheduling form).

    Each worker that asks gets a number, its turn. Slots go to turns in their order, and a turn
    stays valid over cuts and pauses: the worker that has waited longest is next.
    """

    def take(self, now: float, patience: float, turn: float = 0.0, cost: float = 1.0) -> Answer:
        """Take the next slot, if it is near enough and no other worker comes first.

        Args:
            now: the time.
            patience: how long the caller would wait for it.
            turn: the number of the caller's turn, if it has one.
            cost: units that the call takes of the allowance.
        """
        if self.began == 0:
            self.begin(now)
        self.keep_up(now)
        self._presume(now)
        self._watch(now)
        gap = self.gap(self.slot)
        wait = self.slot - now
        ahead = wait + self._place(turn or self.turns + 1.0) * gap
        near = min(patience, max(HORIZON, gap))
        if turn > 0:
            near = max(near, TOLERANCE, gap if patience <= 0 else 0.0)
        if wait > 0 and ahead > near:
            return self._send_away(now, patience, turn, ahead)
        self.turns += turn == 0
        self.called = min(self.turns, self.called + 1.0)
        self.slot += gap * cost
        self.given += cost
        return Answer(granted=True, wait=wait, turn=turn or self.turns)

    def gap(self, at: float) -> float:
        """Return the time from a slot to the next. A rate that doubles meanwhile shortens it."""
        gap = 1000.0 / self._rate_at(at)
        while gap > 1.0 and self._rate_at(at + gap / 2.0) * gap / 2000.0 >= 1.0:
            gap /= 2.0
        return gap

    def _place(self, turn: float) -> float:
        """How many turns come before this one."""
        return max(0.0, turn - self.called - 1.0)

    def _send_away(self, now: float, patience: float, turn: float, ahead: float) -> Answer:
        if turn == 0 and self.turns - self.called >= LONGEST_LINE:
            return Answer(granted=False, wait=LONGEST_WAIT, turn=0.0)
        if turn <= self.called:  # new, or so late that others have gone instead
            self.turns += 1.0
            turn = self.turns
        due = self.slot - now + self._place(turn) * 1000.0 / self.promise(now)
        # A hesitant pace is over soon: then the promise holds. Until then no worker asks again
        # at once.
        wait = max(due, min(ahead, HORIZON)) - min(LEAD, patience)
        return Answer(granted=False, wait=max(1.0, min(LONGEST_WAIT, wait)), turn=turn)

    def give_back(self, now: float) -> None:
        """Count a slot that no job used as time that went unused."""
        self.keep_up(now)
        gap = 1000.0 / self.rate(now)
        self.given = max(0.0, self.given - 1.0)
        self.calm_idle += gap
        self._stand_still(now, gap)

    def prove(self, now: float) -> bool:
        """Note that a call of this epoch went through. Returns whether it was the first."""
        if self.proven > 0:
            return False
        self.proven = max(now, self.began)
        if self.misses > 0:
            self.misses, self.rise = 0.0, min(self.rise, QUICK_RISE)
            # Slots taken at a hesitant pace do not hold up the others.
            self.slot = min(self.slot, self.proven + self.gap(self.proven))
        return True

    def _presume(self, now: float) -> None:
        if self.proven == 0 and self.given > 0 and now - self.began - self.idle >= PRESUMED:
            self.prove(now)

    def has_risen(self, now: float) -> bool:
        """Whether it is twice the rate that was pushed last: then it is pushed again."""
        rate = self.promise(now)
        if rate < 2.0 * self.told:
            return False
        self.told = rate
        return True

    # -- its end

    def is_over(self, now: float, forget_after: float) -> bool:
        """Whether the pace limits nothing any more, or no error came for `forget_after`."""
        if self.proven > now:
            return False  # held
        if now - self.quiet_from >= forget_after:
            return True
        unused = self.calm_idle + max(0.0, now - self.slot)
        watched = now - self.calm_from
        return self._is_watched(now) and unused >= watched / 3.0

    def _watch(self, now: float) -> None:
        """Count unused slots anew, once a time without an end has been long enough."""
        if self._is_watched(now):
            self.calm_from, self.calm_idle = now, 0.0

    def _is_watched(self, now: float) -> bool:
        calm = doubled(CALM, min(self.relapses, MOST_RELAPSES))
        length = max(calm, self.paused, CALM_SLOTS * 1000.0 / self.rate(now))
        called = self.called + max(0.0, now - self.slot) * self._rate_at(self.slot) / 1000.0
        is_line = self.turns - called >= 1.0
        # Without a job there is nothing to know, and nothing that a pace would limit.
        is_known = self.proven > 0 or self.given < 1.0
        return is_known and not is_line and now - self.calm_from >= length

    def end(self, now: float) -> None:
        """The recovery is over."""
        self.keep_up(now)
        self.calm_at = now
