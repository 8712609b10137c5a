"""A worker under gevent: `python -m tests.fleet.green_worker URL NAME`."""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

import sys  # noqa: E402

from gevent import sleep, spawn  # noqa: E402

from breaker import Breaker  # noqa: E402
from tests.contract.waiting import eventually  # noqa: E402

GREENLETS, TURNS = 50, 20


def main(url, name):
    breaker, operator = Breaker(name, url=url), Breaker(name, url=url, push=False)
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)
    with breaker.guard():
        pass
    operator.pause()
    eventually(breaker._watch.paused_left)  # only a push can tell

    woken, turns = [], []
    spawn(lambda: woken.append(breaker.wait(timeout=50)))

    def take_turns():
        for turn in range(TURNS):
            turns.append(turn)
            sleep(0)

    for _ in range(GREENLETS):
        spawn(take_turns)
    eventually(lambda: len(turns) == GREENLETS * TURNS)
    assert not woken
    operator.resume()
    eventually(lambda: woken)
    assert woken == [True]
    breaker.close()
    operator.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
