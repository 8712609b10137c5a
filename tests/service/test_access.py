"""Who may look, and who may change things."""

import pytest

from breaker.errors import ConfigurationError
from breaker.service.access import MOST_TRIES, Tokens
from tests.service.conftest import client_of

ELSEWHERE = "192.0.2.7"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def pause(name):
    async def order(client, **headers):
        return (await client.post(f"/v1/breakers/{name}/pause", headers=headers)).status_code

    return order


async def test_without_tokens_only_this_machine_may_change_things(with_tokens, pause):
    app = with_tokens()
    async with client_of(app) as near, client_of(app, ELSEWHERE) as far:
        assert await pause(near) == 200
        assert await pause(far) == 403
        assert (await far.get("/v1/breakers")).status_code == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://localhost:8429", 200),
        ("Host", "evil.example", 403),
        ("Host", "127.0.0.1.evil.example", 403),
        ("Host", "[::1]:8429", 200),
        ("Host", "[", 403),
    ],
)
async def test_a_foreign_page_may_not_use_the_browser_of_this_machine(
    with_tokens, pause, header, value, status
):
    async with client_of(with_tokens()) as client:
        assert await pause(client, **{header: value}) == status


async def test_the_token_may_change_things_from_anywhere(with_tokens, pause):
    async with client_of(with_tokens(change="right"), ELSEWHERE) as client:
        assert await pause(client) == 401
        assert await pause(client, **bearer("wrong")) == 401
        assert await pause(client, **bearer("right")) == 200
        assert (await client.get("/v1/breakers")).status_code == 200


async def test_the_read_token_may_only_look(with_tokens, pause):
    async with client_of(with_tokens(change="right", read="look"), ELSEWHERE) as client:
        assert (await client.get("/v1/breakers")).status_code == 401
        assert (await client.get("/v1/breakers", headers=bearer("look"))).status_code == 200
        assert (await client.get("/v1/breakers", headers=bearer("right"))).status_code == 200
        assert await pause(client, **bearer("look")) == 403


async def test_a_read_token_alone_forbids_every_change(with_tokens, pause):
    async with client_of(with_tokens(read="look")) as client:
        assert await pause(client) == 403
        assert await pause(client, **bearer("look")) == 403


async def test_with_a_read_token_only_healthz_is_free(with_tokens):
    async with client_of(with_tokens(read="look")) as client:
        asked = {
            path: (await client.get(path)).status_code
            for path in (
                "/healthz",
                "/readyz",
                "/metrics",
                "/openapi.json",
                "/v1/breakers",
                "/v1/events",
            )
        }
    assert asked.pop("/healthz") == 200
    assert set(asked.values()) == {401}


async def test_metrics_may_stay_open(with_tokens):
    async with client_of(with_tokens(read="look", are_metrics_open=True)) as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_guessing_is_bounded_and_locks_out_no_fleet(with_tokens):
    app = with_tokens(read="look")
    async with client_of(app, ELSEWHERE) as guesser, client_of(app) as fleet:
        assert (await fleet.get("/v1/breakers", headers=bearer("look"))).status_code == 200
        for client in (guesser, fleet):
            for _ in range(MOST_TRIES):
                told = await client.get("/v1/breakers", headers=bearer("guess"))
                assert told.status_code == 401
        told = await guesser.get("/v1/breakers", headers=bearer("look"))
        assert (told.status_code, int(told.headers["retry-after"]) <= 60) == (429, True)
        assert (await guesser.get("/v1/breakers")).status_code == 401
        assert (await fleet.get("/v1/breakers", headers=bearer("look"))).status_code == 200


def test_tokens_come_from_the_environment_or_from_files(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret\n")
    tokens = Tokens.from_environment(
        {
            "BREAKER_TOKEN_FILE": str(path),
            "BREAKER_READ_TOKEN": "look",
            "BREAKER_METRICS_OPEN": "1",
        }
    )
    assert tokens == Tokens("secret", "look", are_metrics_open=True)
    assert "secret" not in repr(tokens)


def test_a_token_that_is_missing_is_an_error_at_start(tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    for environment, why in (
        ({"BREAKER_TOKEN": " "}, "BREAKER_TOKEN is empty"),
        ({"BREAKER_TOKEN_FILE": str(tmp_path / "none")}, "No such file"),
        ({"BREAKER_TOKEN_FILE": str(empty)}, "is empty; write the token into it"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            Tokens.from_environment(environment)
