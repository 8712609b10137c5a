"""A server that forks its workers when the breaker is in use already."""

import contextlib
import multiprocessing
import os
import socket
import traceback
from pathlib import Path

import pytest

from breaker import Breaker, tally
from breaker.push import pump as push_pump
from breaker.store import pool
from breaker.store.outage import failures
from tests.contract.waiting import eventually

CHILDREN = 4
PATIENCE = 40
FORK = multiprocessing.get_context("fork")


def sockets_to(port):
    """The numbers of this process's open files that are connections to a server."""
    found = set()
    for number in map(int, (entry.name for entry in Path("/proc/self/fd").iterdir())):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
            if one.getpeername()[1] == port:
                found.add(number)
    return found


def make_useless(numbers):
    """Any use of one of them fails from now on."""
    for number in numbers:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number)
        os.close(null)


def work(breaker, inherited, send):
    """Ask a few times, say so, hear of a trip without asking, say so."""
    make_useless(inherited)
    for _ in range(push_pump.ASKS_BEFORE_START_IN_CHILD + 1):
        with breaker.guard():
            pass
    eventually(breaker._watch.is_quiet)
    send.send("listens")
    eventually(breaker._watch.paused_left)  # from memory
    send.send((breaker.is_paused(), failures(), breaker._store._outage.number))


def by_os_fork(*arguments):
    child = os.fork()
    if child:
        return lambda: os.waitpid(child, 0)[1]
    try:
        work(*arguments)
    except BaseException:  # noqa: BLE001 - nothing may return into the test
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def by_multiprocessing(*arguments):
    child = FORK.Process(target=work, args=arguments, daemon=True)
    child.start()

    def end():
        child.join(PATIENCE)
        return child.exitcode

    return end


@contextlib.contextmanager
def locks_held(breaker):
    """As if other threads held all of them at the fork."""
    with contextlib.ExitStack() as stack:
        for holder in (
            breaker._watch._pump,
            breaker._watch._view,
            breaker._store._outage,
            breaker._store._fallback,
            push_pump,
            pool,
            tally,
        ):
            stack.enter_context(holder._lock)
        yield


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("fork", [by_os_fork, by_multiprocessing])
def test_each_forked_child_hears_by_a_subscription_of_its_own(new_server, name, fork):
    server = new_server()
    with (
        server.client() as client,
        Breaker(name, url=server.url, threshold=1, cooldown=600) as breaker,
        contextlib.ExitStack() as stack,
    ):
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        client.ping()
        inherited = sockets_to(server.port)
        mine = {row["id"] for row in client.client_list()}
        assert len(inherited) == len(mine)
        pipes = [FORK.Pipe(duplex=False) for _ in range(CHILDREN)]
        with locks_held(breaker):
            ends = [fork(breaker, inherited, send) for _, send in pipes]
        for receive, _ in pipes:
            stack.enter_context(receive)
            assert receive.poll(PATIENCE)
            assert receive.recv() == "listens"
        now = client.client_list()
        assert [row["flags"] for row in now].count("P") == 1 + CHILDREN
        assert mine <= {row["id"] for row in now}
        assert breaker.record_rate_limit_error().tripped
        for receive, _ in pipes:
            assert receive.poll(PATIENCE)
            assert receive.recv() == (True, 0, 0)
        assert [end() for end in ends] == [0] * CHILDREN
        # Their end cut nothing that is the parent's.
        assert mine <= {row["id"] for row in client.client_list()}
        assert breaker.staleness is not None
