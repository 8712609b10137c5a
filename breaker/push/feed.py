"""A view, how to read the state that it shows, and what came of the last reading."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from breaker.errors import StoreError
from breaker.protocol.keys import Keys
from breaker.protocol.replies import Snapshot
from breaker.protocol.requests import Ask, Request, Tell
from breaker.push.view import View

Plan = Generator[Request, Any, Any]
if TYPE_CHECKING:
    from breaker.push.pump import Pump

# A plan that runs one script that reads the whole state, and returns the reply.
Read = Callable[[], Plan]


@dataclass(eq=False, slots=True)
class Feed:
    """One channel of a subscription.

    Attributes:
        channel: where the changes of the breaker are published.
        keys: those of the breaker.
        view: what is known of it.
        read: the plan that reads the whole state.
        probe: the plan that writes something harmless.
        users: how many breakers of this process share it.
        followers: each of them is called with the pump that has the feed by now, if it moves.
        state_key: the hash in which the store keeps the state; empty until it was read.
        is_asked: a reading is under way.
        look_from: when a heartbeat may read how much was published, in monotonic seconds.
        is_refusal_said: the log says that it cannot be read.
        is_deafness_said: the log says that its changes are not pushed.
    """

    channel: str
    keys: Keys
    view: View
    read: Read
    probe: Callable[[], Plan]
    users: int = 0
    followers: "set[Callable[[Pump], None]]" = field(default_factory=set)
    state_key: str = ""
    is_asked: bool = False
    look_from: float = 0.0
    is_refusal_said: bool = False
    is_deafness_said: bool = False


class Reading:
    """One reading of the whole state, from the question to the view.

    Args:
        feed: whose.
        tell: gets the transitions that it has made or found.
    """

    def __init__(self, feed: Feed, tell: Callable[[Tell], None]) -> None:
        self.feed = feed
        self.sent_at = time.monotonic()
        self._tell = tell
        self._version = feed.view.last.get("version", 0)
        self._plan = feed.read()
        ask = next(self._plan)
        assert isinstance(ask, Ask)  # noqa: S101 - what Read promises
        self.ask = ask
        feed.is_asked = True
        feed.state_key = ask.keys[ask.script.keys.index("state")]

    def take(self, answer: Any) -> StoreError | None:
        """Show the reply in the view; returns the error that stands in its place."""
        self.feed.is_asked = False
        now = time.monotonic()
        if isinstance(answer, StoreError):
            self._plan.close()
            self.feed.view.postpone(now)
            return answer
        reply = self._result(answer)
        self.feed.view.learn(reply, now, is_proof=True, version=self._version)
        return None

    def _result(self, answer: Any) -> Snapshot:
        try:
            request = self._plan.send(answer)
            while True:
                assert isinstance(request, Tell)  # noqa: S101 - what Read promises
                self._tell(request)
                request = next(self._plan)
        except StopIteration as done:
            reply: Snapshot = done.value
            return reply
