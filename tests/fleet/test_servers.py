"""Every server there is, both protocols, a prefix, a database; one round trip an operation."""

import contextlib

import pytest
import redis

from breaker import AsyncBreaker, Breaker, StoreRefused, StoreUnavailable
from tests.contract.waiting import eventually


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def anywhere(request, any_server):
    """A URL of each server, in each protocol."""
    return f"{any_server.url}?protocol={request.param}"


def test_a_whole_life(anywhere, name):
    options = {"prefix": "my-app", "cooldown": 0.05, "recovery": "probe"}
    with Breaker(name, url=anywhere, **options) as breaker:
        for _ in range(5):
            status = breaker.record_rate_limit_error(retry_after=0.05)
        assert status.tripped
        assert breaker.wait(timeout=20)
        with breaker.guard(timeout=20) as permit:
            assert permit.is_probe
        assert breaker.status().state == "closed"
        assert breaker.pause(reason="work").state == "forced-open"
        assert breaker.configure({"threshold": 3}).threshold == 3
        assert breaker.resume().state == "closed"
        assert breaker.disable().state == "disabled"
        assert breaker.enable().state == "closed"
        assert breaker.reset().state == "closed"
        events = [event.event for event in breaker.events()]
    assert events == [
        "tripped",
        "half-open",
        "closed",
        "paused",
        "settings",
        "resumed",
        "disabled",
        "enabled",
        "reset",
    ]


async def test_the_async_face(anywhere, name):
    async with AsyncBreaker(name, url=anywhere, threshold=1) as breaker:
        assert (await breaker.record_rate_limit_error()).tripped
        assert await breaker.is_paused()
        assert len(await breaker.events()) == 1


def test_keys_have_the_prefix_and_stay_in_their_database(any_server, name):
    with any_server.client() as client, Breaker(name, url=any_server.url, prefix="my-app") as b:
        b.record_rate_limit_error()
        keys = {key for key in client.keys("*") if name in key}
        assert keys
        assert all(key.startswith(f"my-app:{{{name}}}:") for key in keys)
        assert client.sismember("my-apps", name)
    elsewhere = Breaker(name, url=f"redis://{any_server.url.split('/')[2]}/9", prefix="my-app")
    assert not elsewhere.status().exists
    elsewhere.close()


def test_scripts_come_back_after_a_flush(any_server, name):
    with any_server.client() as client, Breaker(name, url=any_server.url) as breaker:
        breaker.record_rate_limit_error()
        client.script_flush()
        assert breaker.record_rate_limit_error().consecutive_errors == 2


def test_scripts_come_back_after_a_restart(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        breaker.record_rate_limit_error()
        server.restart()
        assert breaker.record_rate_limit_error().consecutive_errors >= 1


def test_one_round_trip_an_operation(any_server, name):
    def sent(client):
        return {
            command: count["calls"]
            for command, count in client.info("commandstats").items()
            if command.split("_")[1] in ("evalsha", "eval", "sadd", "smembers")
        }

    with (
        any_server.client() as client,
        Breaker(name, url=any_server.url, push=False) as breaker,
    ):
        for act in (breaker.record_success, breaker.is_paused):  # scripts loaded, name listed
            act()
        for act in (
            breaker.is_paused,
            breaker.status,
            breaker.record_success,
            breaker.record_rate_limit_error,
            breaker.acquire,
            lambda: breaker.acquire().success(),
            lambda: breaker.acquire().release(),
        ):
            act()
            client.config_resetstat()
            act()
            assert sum(sent(client).values()) <= 2
            if act not in (breaker.is_paused, breaker.status):
                assert sent(client)["cmdstat_evalsha"] <= 2
            if not isinstance(act, type(lambda: 0)):
                assert sum(sent(client).values()) == 1


def test_every_key_has_a_ttl(client, url, name):
    with Breaker(name, url=url) as breaker:
        for _ in range(5):
            breaker.record_rate_limit_error()
        breaker.record_success()
    lasting = {key for key in client.keys(f"*{name}*") if client.ttl(key) == -1}
    assert lasting == set()


def test_a_users_client_gives_its_connection_data(server, name):
    with (
        redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=99) as client,
        Breaker(name, redis=client) as breaker,
    ):
        breaker.record_success()
        assert breaker.status().exists
        assert client.get_connection_kwargs()["socket_timeout"] == 99


def test_a_connection_cut_while_idle_costs_nothing(url, name, client):
    with Breaker(name, url=url, push=False, on_store_failure="raise") as breaker:
        breaker.record_rate_limit_error()
        client.client_kill_filter(_type="normal", skipme=True)
        assert breaker.record_rate_limit_error().consecutive_errors == 2


async def test_a_connection_cut_while_idle_costs_nothing_async(url, name, client):
    async with AsyncBreaker(name, url=url, push=False, on_store_failure="raise") as breaker:
        await breaker.record_rate_limit_error()
        client.client_kill_filter(_type="normal", skipme=True)
        assert (await breaker.record_rate_limit_error()).consecutive_errors == 2


# -- a store that is not there, or says no


def test_a_store_that_is_not_there_is_an_outage(name):
    says = pytest.raises(StoreUnavailable, match=r"redis://127.0.0.1:1/0 does not answer")
    with Breaker(name, url="redis://127.0.0.1:1/0") as breaker, says:
        breaker.status()


def test_a_frozen_store_is_an_outage(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url, on_store_failure="raise") as breaker:
        breaker.record_rate_limit_error()
        server.pause()
        with pytest.raises(StoreUnavailable):
            breaker.record_rate_limit_error()
        server.resume()

        def count():
            with contextlib.suppress(StoreUnavailable):
                return breaker.status().consecutive_errors

        # What was sent is executed late, and counts once.
        eventually(lambda: count() == 2)
        assert breaker.record_rate_limit_error().consecutive_errors == 3


def test_a_wrong_password_is_no_outage(any_server, name):
    where = any_server.url.partition("//")[2].rpartition("@")[2]
    refused = pytest.raises(StoreRefused)
    with Breaker(name, url=f"redis://nobody:secret@{where}") as breaker, refused as raised:
        breaker.status()
    assert "secret" not in str(raised.value)


def test_a_key_of_a_wrong_type_changes_nothing(client, url, name):
    client.lpush(f"breaker:{{{name}}}:failures", "not mine")
    with Breaker(name, url=url) as breaker, pytest.raises(StoreRefused, match="WRONGTYPE"):
        breaker.record_rate_limit_error()
    assert client.keys(f"breaker:{{{name}}}:state") == []


def test_a_history_of_a_wrong_type_does_not_stop_the_pause(client, url, name):
    client.set(f"breaker:{{{name}}}:events", "not mine")
    with Breaker(name, url=url, threshold=1) as breaker:
        assert breaker.record_rate_limit_error().tripped
        assert breaker.is_paused()
