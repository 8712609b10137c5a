"""What a process delivers per second, so that a recovery can begin where the fleet was."""

from collections import deque

# Seconds between two marks, and how many are kept.
EACH, KEPT = 1.0, 11
# A burst of a moment is not what was delivered in the long run: seconds that it is spread over.
SHORTEST = 3.0


class Meter:
    """Counts successes, and marks the count now and then while the queue runs.

    Attributes:
        done: how many successes there were. Whoever has one adds it.
        told_for: the number of the trip for which the fleet has been told of this.
    """

    __slots__ = ("_marks", "done", "told_for")

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=KEPT)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a child process: the parent tells of its own."""
        self.done = 0
        self.told_for = -1
        self._marks.clear()

    def mark(self, now: float) -> None:
        """The queue runs; in monotonic seconds. After a pause it begins anew."""
        if not self._marks or now - self._marks[-1][0] > 3 * EACH:
            self._marks.clear()
        elif now - self._marks[-1][0] < EACH:
            return
        self._marks.append((now, self.done))

    def per_second(self) -> float:
        """Successes per second in the last ten seconds or so in which the queue ran."""
        if not self._marks:
            return 0.0
        (began, before), (ended, _) = self._marks[0], self._marks[-1]
        return (self.done - before) / max(SHORTEST, ended - began)
