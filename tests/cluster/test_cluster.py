"""A cluster: breakers are spread over its primaries, and those of one that is away are alone."""

import asyncio
import itertools

import pytest
import redis
import redis.asyncio

from breaker import AsyncBreaker, Breaker, StoreRefused, StoreUnavailable
from breaker.fleet import Fleet
from breaker.protocol.keys import Keys
from tests.contract.waiting import eventually
from tests.servers import FLAVOURS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def state(name):
    return Keys("breaker", name)["state"]


def spread(cluster, name):
    """By primary: the name of a breaker that it has. The first one has the list of names."""
    found = {cluster.node_of("breakers"): ""}
    for number in itertools.count():
        node = cluster.node_of(state(f"{name}-{number}"))
        if not found.get(node):
            found[node] = f"{name}-{number}"
        if len(found) == 3 and all(found.values()):
            return list(found), list(found.values())
    raise AssertionError


def test_breakers_are_spread_and_read_together(cluster, name):
    _, names = spread(cluster, name)
    client = redis.RedisCluster.from_url(cluster.nodes[0].url)
    breakers = [Breaker(one, redis=client, threshold=1) for one in names]
    for breaker in breakers:
        breaker.acquire(timeout=0).release()
        assert breaker.record_rate_limit_error().tripped
    eventually(lambda: all(breaker.staleness is not None for breaker in breakers))
    fleet = Fleet(url=cluster.url)
    assert {status.name for status in fleet.statuses() if status.is_paused} == set(names)
    assert breakers[1].forget()
    assert {status.name for status in fleet.statuses()} == {names[0], names[2]}
    fleet.close()
    for breaker in breakers:
        breaker.close()
    client.close()

    async def resume():
        async with (
            redis.asyncio.RedisCluster.from_url(cluster.nodes[0].url) as client,
            AsyncBreaker(names[0], redis=client) as breaker,
        ):
            await breaker.resume()
            return (await breaker.status()).is_paused

    assert not asyncio.run(resume())


@pytest.mark.parametrize("flavour", FLAVOURS, indirect=True)
def test_a_primary_that_is_away_concerns_its_breakers_only(cluster, name, caplog):
    nodes, names = spread(cluster, name)
    breakers = [Breaker(one, url=cluster.url, threshold=2, cooldown=600) for one in names]
    for breaker in breakers:
        breaker.acquire(timeout=0).success()
    fleet = Fleet(url=cluster.url)
    assert len(list(fleet.statuses())) == 3
    eventually(lambda: all(breaker.staleness is not None for breaker in breakers))
    gone, left = nodes[0], breakers[1:]
    gone.kill()
    while gone in cluster.primaries():
        for breaker in breakers:
            breaker.acquire(timeout=0).success()
        assert not any(breaker._store.is_away() for breaker in left)
        assert all(breaker.staleness is not None for breaker in left)
        eventually(lambda: len(list(fleet.statuses())) >= 2)
    cluster.await_failover(gone)
    eventually(lambda: all(breaker.staleness is not None for breaker in breakers), 30)
    assert len(list(fleet.statuses())) == 3
    fleet.close()
    for breaker in breakers:
        breaker.close()
    assert caplog.text.count("retrying in the background") == 1


def test_a_name_is_listed_later_if_its_list_is_away(cluster, name):
    nodes, names = spread(cluster, name)
    nodes[0].pause()  # it has the list
    with Breaker(names[1], url=cluster.url, push=False, on_store_failure="raise") as breaker:
        assert breaker.record_rate_limit_error().consecutive_errors == 1
        nodes[0].resume()
        eventually(lambda: breaker.record_rate_limit_error() and listed(cluster, names[1]), 30)


def listed(cluster, name):
    fleet = Fleet(url=cluster.url)
    try:
        return name in fleet.names()
    except StoreUnavailable:
        return False
    finally:
        fleet.close()


def test_a_slot_moves_while_errors_are_counted(cluster, name):
    nodes, names = spread(cluster, name)
    moved = names[1]
    with Breaker(moved, url=cluster.url, threshold=1000) as breaker:
        breaker.acquire(timeout=0).release()
        breaker.record_rate_limit_error()
        eventually(lambda: breaker.staleness is not None)
        sent = [1]

        def at_step(_step):
            breaker.record_rate_limit_error()
            sent[0] += 1

        cluster.migrate(state(moved), nodes[2], at_step=at_step)
        breaker.record_rate_limit_error()
        sent[0] += 1
        eventually(lambda: breaker.status().rate_limit_errors == sent[0])
        eventually(lambda: breaker.staleness is not None, 30)
        with nodes[2].client() as client:
            assert client.exists(state(moved))


def test_what_is_wrong_is_said(cluster, name):
    nodes, names = spread(cluster, name)
    elsewhere = f"redis://127.0.0.1:{nodes[0].port}/0"
    assert_refused(StoreRefused, r"its URL is redis\+cluster://", names[1], elsewhere)
    for node in cluster.nodes:
        node.kill()
    assert_refused(StoreUnavailable, r"asked at .* does not answer", name, cluster.url)


def assert_refused(kind, says, name, url):
    with (
        Breaker(name, url=url, on_store_failure="raise", push=False) as breaker,
        pytest.raises(kind, match=says),
    ):
        breaker.record_rate_limit_error()
