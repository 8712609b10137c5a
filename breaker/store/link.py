"""The subscription's connection: RESP3, so that commands and pushed messages share it in order.

A reply over it therefore proves that everything which was published before it has been heard.
Redis-py's own health check sends PING and never looks for the PONG, so a half-open connection
looks healthy for minutes; here each request must be answered, and the deadline counts from the
last message heard.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from breaker.errors import StoreError
from breaker.protocol.requests import Ask
from breaker.store.connect import open_connection
from breaker.store.target import Target
from breaker.store.verdicts import translate

# Seconds without a message, while a request is not answered, after which the connection is lost.
DEADLINE = 1.0

# What a pushed message is, by the first of its three parts. No reply has three.
_PUSHED = (b"message", b"subscribe", b"unsubscribe")

# What CLIENT LIST shows, unless the user's URL gives a name.
NAME = "breaker-push"

# Gets the reply, or the error that stands in its place.
Take = Callable[[Any], None]


@dataclass(slots=True)
class _Sent:
    """A request that is not answered yet: who takes its reply."""

    take: Take
    # How many channels are yet to be confirmed; each is a message of its own.
    confirmations: int = 0


class Link:
    """One connection, and the requests that it has not answered yet.

    Args:
        node: the server.
        store: the store that it belongs to.
    """

    def __init__(self, node: Target, store: Target) -> None:
        self._store = store
        self._connection = open_connection(node, protocol=3)
        self._sent: deque[_Sent] = deque()
        self._heard_at = 0.0
        self._is_loading = False
        self._connection.connect()
        _keep_out_of_the_log(self._connection)
        if not dict(node.data).get("client_name"):
            # What the connection is for; a user who may not say so loses nothing else.
            self.send([(("CLIENT", "SETNAME", NAME), lambda _: None)])

    def __len__(self) -> int:
        """How many requests are not answered yet."""
        return len(self._sent)

    def send(self, requests: Iterable[tuple[Sequence[str | int], Take]]) -> None:
        """Send commands at once; their replies come in this order."""
        self._send([(command, _Sent(take)) for command, take in requests])

    def ask(self, requests: Iterable[tuple[Ask, Take]]) -> None:
        """Run scripts that only read, all at once."""
        self.send([(_by_sha(ask), self._or_load(ask, take)) for ask, take in requests])

    def subscribe(self, channels: Sequence[str], *, is_end: bool = False) -> None:
        """Subscribe; the confirmations are received like messages.

        Args:
            channels: all at once.
            is_end: unsubscribe instead.
        """
        verb = "UNSUBSCRIBE" if is_end else "SUBSCRIBE"
        self._send([((verb, *channels), _Sent(_refuse, confirmations=len(channels)))])

    def receive(self, timeout: float) -> list[Any] | None:
        """Wait for a pushed message and return it; a reply is handed on, and ends the wait too.

        Raises:
            TimeoutError: a request is not answered.
        """
        try:
            if not self._connection.can_read(timeout=timeout):
                self._check_deadline()
                return None
            got = self._connection.read_response(
                disable_decoding=True, disconnect_on_error=False, push_request=True
            )
        except redis.TimeoutError:  # the rest of the message is yet to come
            self._check_deadline()
            return None
        except redis.ResponseError as error:
            got = translate(error, self._store)
            got.__cause__ = error
        self._heard_at = time.monotonic()
        if isinstance(got, list) and len(got) == len(_PUSHED) and got[0] in _PUSHED:
            if got[0] != b"message":
                self._note_confirmation()
            return got
        self._sent.popleft().take(got)
        return None

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()

    def _send(self, requests: list[tuple[Sequence[str | int], _Sent]]) -> None:
        if not self._sent:
            self._heard_at = time.monotonic()
        packed = self._connection.pack_commands([command for command, _ in requests])
        self._connection.send_packed_command(packed, check_health=False)
        self._sent.extend(sent for _, sent in requests)

    def _check_deadline(self) -> None:
        """Only where the socket has nothing to read: this process may just have been slow."""
        if self._sent and time.monotonic() - self._heard_at > DEADLINE:
            raise TimeoutError(f"no answer within {DEADLINE:g} s")

    def _note_confirmation(self) -> None:
        first = self._sent[0]
        first.confirmations -= 1
        if first.confirmations == 0:
            self._sent.popleft()

    def _or_load(self, ask: Ask, take: Take) -> Take:
        def check(answer: Any) -> None:
            cause = answer.__cause__ if isinstance(answer, StoreError) else None
            if isinstance(cause, redis.exceptions.NoScriptError):
                self._load(ask, take)
            else:
                take(answer)

        return check

    def _load(self, ask: Ask, take: Take) -> None:
        """The store does not know the script. Once is enough for all that come after it."""
        if self._is_loading:
            self.ask([(ask, take)])
            return

        def loaded(answer: Any) -> None:
            self._is_loading = False
            take(answer)

        self._is_loading = True
        self.send([(("EVAL", ask.script.body, len(ask.keys), *ask.keys, *ask.args), loaded)])


def _by_sha(ask: Ask) -> Sequence[str | int]:
    return ("EVALSHA", ask.script.sha, len(ask.keys), *ask.keys, *ask.args)


def _refuse(error: Any) -> None:
    """A subscription is confirmed by messages; what comes as a reply is an error."""
    raise error


def _keep_out_of_the_log(connection: redis.connection.Connection) -> None:
    """Redis-py logs each pushed message, until 5.2 as information, unless it has a handler."""
    parser = connection._parser  # noqa: SLF001 - only a PubSub object could set it otherwise
    for name in ("set_pubsub_push_handler", "set_push_handler"):
        if set_handler := getattr(parser, name, None):
            set_handler(lambda pushed: pushed)
