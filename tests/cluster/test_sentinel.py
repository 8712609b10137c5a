"""The primary that Sentinels name: breakers follow it, and say in one sentence what is wrong."""

import asyncio
import time

import pytest
import redis
import redis.asyncio

from breaker import AsyncBreaker, Breaker, StoreRefused
from breaker.fleet import Fleet
from tests.contract.waiting import eventually
from tests.servers import FLAVOURS
from tests.topologies import PRIMARY, follows, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Seconds that a call may take while servers are away, on a machine that does nothing else; the
# tests of deadlines hold the bound, this one only sees that none hangs.
LONGEST = 2.0


def served(breaker, seconds):
    """Have jobs run for a while; returns the longest that one has waited."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        breaker.acquire(timeout=0).success()
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    return longest


@pytest.mark.parametrize("flavour", FLAVOURS, indirect=True)
def test_breakers_follow_the_primary(group, name):
    with (
        Breaker(name, url=group.url, threshold=2, cooldown=600) as pushed,
        Breaker(f"{name}-asks", url=group.url, push=False) as asks,
    ):
        for breaker in (pushed, asks):
            breaker.acquire(timeout=0).success()
        eventually(lambda: pushed.staleness is not None)
        first = group.primary
        first.kill()
        while group.primary is first:
            assert served(pushed, 0.1) < LONGEST
            assert served(asks, 0.1) < LONGEST
        second = group.await_primary(first)
        eventually(lambda: pushed.staleness is not None, 30)
        pushed.record_rate_limit_error()
        assert pushed.record_rate_limit_error().tripped
        asks.record_rate_limit_error()
        with second.client() as client:
            assert client.hget(f"breaker:{{{name}}}:state", "trips") == "1"
            assert client.get(f"breaker:{{{name}-asks}}:failures") == "1"
        assert {status.name for status in fleet_of(group.url)} >= {name, f"{name}-asks"}


def test_an_ordered_failover_costs_no_call(group, name, caplog):
    with Breaker(name, url=group.url, push=False, on_store_failure="raise") as breaker:
        breaker.record_rate_limit_error()
        before = group.fail_over()
        assert before.is_running()
        served(breaker, 1.0)
        breaker.record_rate_limit_error()
        assert breaker.status().rate_limit_errors == 2
    assert "does not answer" not in caplog.text


def test_a_state_that_went_back_is_accepted_and_told(group, name, caplog):
    """The replica is cut off, the primary trips and dies: what it knew last is lost."""
    replica = next(server for server in group.servers if follows(server))
    with Breaker(name, url=group.url, threshold=2, cooldown=600) as breaker:
        breaker.acquire(timeout=0).release()
        breaker.record_rate_limit_error()
        with group.primary.client() as client:
            client.wait(1, 5000)
        eventually(lambda: breaker.staleness is not None)
        replica.pause()
        with group.primary.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "REPLICA")
        assert breaker.record_rate_limit_error().tripped
        group.primary.kill()
        replica.resume()
        until(lambda: group.primary is replica, "the replica was not promoted")
        eventually(lambda: breaker.staleness is not None, 30)
        assert not breaker.is_paused()
        assert "state-lost" in caplog.text
        # What the worker still knows of the lost run, it reports again: the next one trips.
        assert breaker.status().consecutive_errors >= 1


def test_clients_of_ones_own(group, name):
    hosts = [("127.0.0.1", sentinel.port) for sentinel in group.sentinels]
    manager = redis.sentinel.Sentinel(hosts)
    client = manager.master_for(PRIMARY, db=group.database)
    with Breaker(name, redis=client) as breaker:
        breaker.record_rate_limit_error()
        assert breaker._config.target.identity == breaker._store.target.identity
    with Breaker(name, url=group.url) as other:
        assert other.status().consecutive_errors == 1
    client.close()
    manager.close()

    async def look():
        manager = redis.asyncio.sentinel.Sentinel(hosts)
        async with AsyncBreaker(
            name, redis=manager.master_for(PRIMARY, db=group.database)
        ) as breaker:
            return (await breaker.status()).consecutive_errors

    assert asyncio.run(look()) == 1


def test_what_is_wrong_is_said(group, name):
    sentinel, replica = group.sentinels[0], next(s for s in group.servers if follows(s))
    primary = group.primary
    for url, says in {
        group.url.replace(PRIMARY, "other"): f"know no primary called 'other'; .*{PRIMARY}",
        sentinel.url: "if it is a Sentinel, its URL is redis\\+sentinel://",
        f"{sentinel.url[:-1]}5": "if it is a Sentinel, its URL is redis\\+sentinel://",
        f"redis+sentinel://127.0.0.1:{primary.port}/x/0": "no Sentinel",
        f"redis+cluster://127.0.0.1:{primary.port}": "is not part of a cluster: .*redis://",
        replica.url: "if it is a replica for good, give the URL of its primary",
    }.items():
        with Breaker(name, url=url, push=False, on_store_failure="raise") as breaker:
            refused = StoreRefused if url is not replica.url else Exception
            with pytest.raises(refused, match=says):
                breaker.record_rate_limit_error()


def fleet_of(url):
    fleet = Fleet(url=url)
    try:
        return list(fleet.statuses())
    finally:
        fleet.close()
