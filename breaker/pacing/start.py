"""How a pace begins: after a trip, at a mild excess, or by what headers say.

The readable statement of `lua/include/start.lua`.
"""

from breaker.pacing.pace import FIRST_RISE, QUICK_RISE, SLOWEST, UNKNOWN, Rate, usual_rise

# Share of the sum of what the workers had delivered: where the rate begins after a trip. A
# first job has gone through by then, so the outage is over.
AFTER_TRIP = 0.95
# The same where most calls went through all the time.
AFTER_EXCESS = 0.95
# Milliseconds: a trip so soon after a recovery shows that the recovery ended too early.
RELAPSE = 600_000.0


class Start(Rate):
    """The beginnings of a pace."""

    def ask(self, pause: float) -> None:
        """Ask the workers what they had delivered before: nothing else is known."""
        self.top, self.low, self.rise = UNKNOWN, UNKNOWN, FIRST_RISE
        self.delivered, self.is_new, self.paused = 0.0, 1.0, pause
        self.misses, self.early = 0.0, 0.0
        self.round += 1.0

    def trip(self, now: float, pause: float, *, is_anew: bool) -> None:
        """The breaker trips: what the upstream allows after this pause is not known.

        Args:
            now: the time.
            pause: how long it pauses.
            is_anew: no recovery is under way, so no worker has a turn.
        """
        is_relapse = self.calm_at > 0 and 0 <= now - self.calm_at < RELAPSE
        self.relapses = self.relapses + 1.0 if is_relapse else 0.0
        self.take_back(now, is_anew=is_anew)
        self.ask(pause)
        self.misses = 1.0

    def begin(self, now: float, wait: float = 0.0) -> None:
        """Begin an epoch, whose calls may go after `wait`."""
        self.take_back(now)
        self.slot = self.began = self.calm_from = self.quiet_from = now + wait
        self.proven = self.given = self.idle = self.calm_idle = 0.0
        self.told = self.low

    def take_back(self, now: float, *, is_anew: bool = False) -> None:
        """Void the slots that have not come yet: those who had them are next again."""
        self.keep_up(now)
        ahead = (self.slot - now) * self.rate(now) / 1000.0
        self.called = self.turns if is_anew else self.called - ahead
        self.given -= ahead
        self.slot = now

    def learn(self, share: float, now: float) -> None:
        """Take in what one process had delivered per second before."""
        if self.is_new == 0 or share <= 0:
            return
        self.delivered += share
        if self.paused > 0:
            self.top = max(self.delivered, SLOWEST)
            self.low = max(self.top * AFTER_TRIP, SLOWEST)
        else:
            self._go_for(max(self.delivered, self.top))
        self.told = min(self.told, self.low)
        self.remember(self.delivered, now)

    def start(self, now: float, rate: float) -> None:
        """Begin at about `rate`, without a pause: most calls go through, and too many do not."""
        self.take_back(now, is_anew=True)
        self.ask(0.0)
        self._go_for(max(rate, UNKNOWN))
        self.begin(now)
        self.proven = now

    def _go_for(self, rate: float) -> None:
        self.top, self.low = rate, rate * AFTER_EXCESS

    def hold(self, now: float, low: float, top: float, length: float) -> None:
        """Begin at `low` for `length`, and only then rise."""
        self.take_back(now, is_anew=True)
        self.is_new = self.misses = self.paused = 0.0
        self.low = max(low, SLOWEST)
        self.begin(now)
        self.hold_on(now, low, top, length)

    def hold_on(self, now: float, low: float, top: float, length: float) -> None:
        """Go on at another rate, held for `length`."""
        self.keep_up(now)
        self.top, self.low = max(top, SLOWEST), max(low, SLOWEST)
        # A rate that is known to be allowed for good is exceeded only slowly.
        self.rise = QUICK_RISE if top > low else usual_rise(self.top)
        self.misses = 0.0
        self.proven = self.quiet_from = now + length
