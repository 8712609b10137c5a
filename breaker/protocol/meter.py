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
        told_for: the trip for which the fleet has been told of this: its incarnation and number.
    """

    __slots__ = ("_marks", "done", "told_for")

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=KEPT)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a child process: the parent tells of its own."""
        self.done = 0
        self.told_for: tuple[str, int] | None = None
        self._marks.clear()

    def mark(self, now: float) -> None:
        """The queue runs; in monotonic seconds. After a pause it begins anew."""
        marks = self._marks
        if not marks or now - marks[-1][0] > 3 * EACH:
            # Replaced and not emptied: another thread may be reading it.
            self._marks = deque([(now, self.done)], maxlen=KEPT)
        elif now - marks[-1][0] >= EACH:
            marks.append((now, self.done))

    def per_second(self) -> float:
        """Successes per second in the last ten seconds or so in which the queue ran."""
        marks = self._marks.copy()
        if not marks:
            return 0.0
        (began, before), (ended, _) = marks[0], marks[-1]
        return (self.done - before) / max(SHORTEST, ended - began)
