"""What a process delivers per second, so that a recovery can begin where the fleet was."""

from collections import deque

# Seconds between two marks.
EACH = 1.0
# Marks that are kept: they span ten seconds.
KEPT = 11
# Seconds: a rate is averaged over at least this long, so that a short burst does not look like a
# sustained rate.
SHORTEST = 3.0

Asked = tuple[str, int]


class Meter:
    """Counts successes, and marks the count now and then while the queue runs.

    Attributes:
        done: how many successes there were. The caller of each adds it.
        told_for: the recovery for which this process has reported its rate: the state's
            incarnation, and the number of the request.
    """

    __slots__ = ("_claims", "_marks", "_reported", "done", "told_for")

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=KEPT)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a child process: the parent reports its own."""
        self.done = self._reported = 0
        self.told_for: Asked | None = None
        self._claims: dict[Asked, object] = {}
        self._marks.clear()

    def claim(self, asked: Asked) -> bool:
        """Take it on to report the rate. True for one of all the threads and tasks that try."""
        if asked == self.told_for:
            return False
        mine = object()
        # One step, which no other thread can interrupt.
        is_mine = self._claims.setdefault(asked, mine) is mine
        if is_mine:
            self._claims, self.told_for = {asked: mine}, asked
        return is_mine

    def unclaim(self, asked: Asked) -> None:
        """The report did not reach the store: another one is to make it."""
        self._claims.pop(asked, None)
        self.told_for = None

    def mark(self, now: float) -> None:
        """The queue runs; in monotonic seconds. After a pause it begins anew."""
        marks = self._marks
        if not marks or now - marks[-1][0] > 3 * EACH:
            # Replaced and not emptied: another thread may be reading it.
            self._marks = deque([(now, self.done)], maxlen=KEPT)
        elif now - marks[-1][0] >= EACH:
            marks.append((now, self.done))

    def unreported(self, now: float) -> int:
        """Successes since the last report, in the last ten seconds or so; a report begins."""
        recent = [done for at, done in self._marks.copy() if now - at <= EACH * KEPT]
        since = max(self._reported, recent[0] if recent else self._last_mark())
        self._reported = self.done
        return self._reported - since

    def _last_mark(self) -> int:
        marks = self._marks.copy()
        return marks[-1][1] if marks else 0

    def per_second(self) -> float:
        """Successes per second in the last ten seconds or so in which the queue ran."""
        marks = self._marks.copy()
        if not marks:
            return 0.0
        (began, before), (ended, _) = marks[0], marks[-1]
        return (self.done - before) / max(SHORTEST, ended - began)
