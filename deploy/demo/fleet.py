"""A worker whose upstream limits it for 20 s of every 180 s; run several of them."""

import time

from breaker import Breaker

# Seconds of one round, and of it the seconds in which the upstream answers 429.
ROUND = 180
LIMITED = 20


class TooManyRequests(Exception):  # noqa: N818 - the name of the answer
    """What a client's library raises for a 429."""

    status_code = 429


def call_upstream() -> None:
    """Call the upstream that is played here."""
    time.sleep(0.2)
    if time.time() % ROUND < LIMITED:
        raise TooManyRequests


def main() -> None:
    """Run jobs without an end."""
    content = Breaker("content", cooldown=30)
    while True:
        content.wait()
        try:
            with content.guard():
                call_upstream()
        except TooManyRequests:
            continue  # a queue would hold the job for another try


if __name__ == "__main__":
    main()
