"""A configuration error is raised: no worker guesses, and none waits for it to pass."""

import contextlib

import pytest

from breaker import AsyncBreaker, Breaker, StoreRefused
from tests.contract.waiting import eventually
from tests.faults.proxy import Proxy


@contextlib.contextmanager
def new_password(server):
    """Set while workers are connected; they are cut off and have to come back."""
    with server.client() as client:
        client.config_set("requirepass", "secret")
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)
        try:
            yield
        finally:
            client.config_set("requirepass", "")


@contextlib.contextmanager
def fewer_permissions(server):
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all")


REFUSALS = {"password": new_password, "ACL": fewer_permissions}


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
@pytest.mark.parametrize("why", REFUSALS)
def test_every_call_that_has_to_ask_says_so(new_server, name, told, why, push):
    server = new_server()
    with Breaker(name, url=server.url, push=push) as breaker:
        breaker.record_rate_limit_error()
        with REFUSALS[why](server):
            with pytest.raises(StoreRefused):
                breaker.record_rate_limit_error()
            with pytest.raises(StoreRefused):
                breaker.record_success()
        assert breaker.record_rate_limit_error().consecutive_errors == 2
        assert told() == (0, 0)


@pytest.mark.parametrize("why", REFUSALS)
async def test_in_asyncio_too(new_server, name, told, why):
    server = new_server()
    async with AsyncBreaker(name, url=server.url, push=False) as breaker:
        await breaker.record_rate_limit_error()
        with REFUSALS[why](server):
            with pytest.raises(StoreRefused):
                await breaker.is_paused()
            with pytest.raises(StoreRefused):
                async with breaker.guard():
                    pass
        assert (await breaker.record_rate_limit_error()).consecutive_errors == 2
        assert told() == (0, 0)


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
def test_a_store_that_returns_with_another_password_is_no_outage(new_server, name, push):
    server = new_server()
    with Proxy(server.url) as proxy, Breaker(name, url=proxy.url, push=push) as breaker:
        breaker.record_rate_limit_error()
        proxy.refuse()
        proxy.kill_all()
        breaker.record_rate_limit_error()

        def is_loud():
            try:
                breaker.record_rate_limit_error()
            except StoreRefused:
                return True

        with new_password(server):
            proxy.accept()
            eventually(is_loud)
            eventually(is_loud)


class Limited(Exception):
    status_code = 429


def test_a_refusal_that_meets_each_job_is_said_once_and_once_when_it_ends(
    new_server, name, caplog
):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        with fewer_permissions(server):
            for _ in range(10):
                with pytest.raises(Limited), breaker.guard():
                    raise Limited
            said = [one for one in caplog.records if one.levelname == "ERROR"]
            assert len(said) == 1
        breaker.record_success()
        breaker.record_rate_limit_error()
        ended = [one for one in caplog.messages if "does what it is asked again" in one]
        assert len(ended) == 1


def test_a_list_of_names_that_may_not_be_written_stops_no_report(new_server, name, caplog):
    server = new_server()
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "app", "on", ">pw", "~breaker:*", "&*", "+@all"
        )
    url = server.url.replace("redis://", "redis://app:pw@")
    with Breaker(name, url=url, push=False) as breaker:
        for number in range(1, 4):
            assert breaker.record_rate_limit_error().consecutive_errors == number
    said = [one for one in caplog.messages if "SADD" in one]
    assert len(said) == 1


def test_connections_are_named_if_the_user_may_name_them(new_server, name):
    server = new_server()
    with server.client() as client, Breaker(name, url=server.url, push=False) as breaker:
        breaker.record_success()
        assert "breaker-commands" in [row["name"] for row in client.client_list()]
        client.execute_command(
            "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-client"
        )
        url = server.url.replace("redis://", "redis://app:pw@")
        with Breaker(f"{name}-2", url=url, push=False, on_store_failure="raise") as other:
            assert other.record_rate_limit_error().consecutive_errors == 1
