"""The API: reports and orders obey the rules that a worker's own calls obey."""

import asyncio
from urllib.parse import quote

import pytest

from breaker import Breaker
from breaker.service.app import create_app
from tests.service.conftest import client_of

LONG = 300


async def trip(api, name, **body):
    for number in range(5):
        answer = await api.post(
            f"/v1/breakers/{name}/rate-limit-errors", json={"error_id": f"e{number}", **body}
        )
        assert answer.status_code == 200
    return answer.json()


async def test_five_errors_pause_the_queue_and_one_answer_says_so(api, name):
    told = await trip(api, name, retry_after=LONG)
    assert (told["state"], told["is_paused"], told["tripped"]) == ("open", True, True)
    assert LONG - 60 < told["resumes_in"] <= LONG
    status = (await api.get(f"/v1/breakers/{name}")).json()
    assert (status["trips"], status["tripped"]) == (1, False)


async def test_an_error_counts_once_however_often_it_is_sent(api, name, url):
    for _ in range(9):
        told = await api.post(f"/v1/breakers/{name}/rate-limit-errors", json={"error_id": "x"})
    assert (told.json()["consecutive_errors"], told.json()["duplicate"]) == (1, True)
    with Breaker(name, url=url) as worker:
        assert worker.record_rate_limit_error(error_id="x").duplicate


@pytest.mark.parametrize("detail", ["soon", -1, [], {"a": 1}, None, "17", True])
async def test_a_report_is_never_refused_for_its_details(api, name, detail):
    body = {"retry_after": detail, "error_id": detail}
    told = await api.post(f"/v1/breakers/{name}/rate-limit-errors", json=body)
    assert (told.status_code, told.json()["consecutive_errors"]) == (200, 1)


async def test_a_success_resets_the_count(api, name):
    await api.post(f"/v1/breakers/{name}/rate-limit-errors")
    told = await api.post(f"/v1/breakers/{name}/successes")
    assert (told.status_code, told.json()["consecutive_errors"]) == (200, 0)


async def test_a_quota_pauses_at_once(api, name):
    told = await api.post(f"/v1/breakers/{name}/rate-limit-errors", json={"kind": "quota"})
    assert (told.json()["is_paused"], told.json()["kind"]) == (True, "quota")


async def test_the_service_declares_nothing(api, name, url):
    with Breaker(name, url=url, threshold=3, push=False) as worker:
        worker.record_success()
    told = await api.post(f"/v1/breakers/{name}/rate-limit-errors")
    assert told.json()["threshold"] == 3


async def test_orders_and_who_gave_them(api, name):
    order = {"seconds": LONG, "reason": "provider incident", "by": "ada"}
    told = (await api.post(f"/v1/breakers/{name}/pause", json=order)).json()
    assert (told["state"], told["reason"], told["by"]) == (
        "forced-open",
        "provider incident",
        "ada",
    )
    assert (await api.post(f"/v1/breakers/{name}/resume")).json()["state"] == "closed"
    assert (await api.post(f"/v1/breakers/{name}/disable")).json()["state"] == "disabled"
    assert (await api.post(f"/v1/breakers/{name}/enable")).json()["state"] == "closed"
    assert (await api.post(f"/v1/breakers/{name}/reset")).status_code == 200
    events = (await api.get(f"/v1/breakers/{name}/events", params={"limit": 2})).json()
    assert [event["by"] for event in events] == ["api from 127.0.0.1"] * 2


async def test_settings_are_overridden_and_given_back(api, name):
    path = f"/v1/breakers/{name}/settings"
    told = await api.patch(path, json={"threshold": 9, "by": "ada"})
    assert (told.json()["threshold"], told.json()["overrides"]) == (9, {"threshold": 9})
    assert (await api.patch(path, json={"threshold": None})).json()["overrides"] == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"threshold": 0}, "threshold must be a whole number from 1"),
        ({"threshold": "5"}, "threshold: Input should be a valid integer"),
        ({"pace_from": False}, "pace_from: Input should be a valid number"),
        ({"thresholds": 5}, "thresholds: Extra inputs are not permitted"),
        ({"cooldown": 9999}, "cooldown (9999 s) must not be above max_cooldown (3600 s)"),
    ],
)
async def test_a_setting_that_is_wrong_is_named(api, name, change, why):
    told = await api.patch(f"/v1/breakers/{name}/settings", json=change)
    assert told.status_code == 422
    assert told.headers["content-type"] == "application/problem+json"
    assert why in told.json()["detail"]


async def test_what_is_not_there(api, name):
    for path in ("", "/events"):
        told = await api.get(f"/v1/breakers/{name}{path}")
        assert (told.status_code, told.json()["type"]) == (404, "urn:breaker:unknown-breaker")
    for verb in ("resume", "reset", "enable"):
        assert (await api.post(f"/v1/breakers/{name}/{verb}")).status_code == 404
    check = await api.get(f"/v1/breakers/{name}/check", params={"wait": 1})
    assert check.json() == {"paused": False, "resumes_in": None, "permit": None}
    assert name not in str((await api.get("/v1/breakers")).json())


@pytest.mark.parametrize("odd", ["a/b", "a b", "ü", "%2F", "check", "x/check", "?", "#", ".."])
async def test_any_name_can_be_a_part_of_a_path(api, name, odd):
    name = quote(f"{name}{odd}", safe="")
    await api.post(f"/v1/breakers/{name}/pause")
    told = await api.get(f"/v1/breakers/{name}")
    assert told.status_code == 200
    assert quote(told.json()["name"], safe="") == name
    assert (await api.get(f"/v1/breakers/{name}/check")).json()["paused"]


async def test_names_that_no_breaker_has(api):
    for name in ("a{b", "%00", "x" * 201):
        assert (await api.get(f"/v1/breakers/{name}")).status_code == 422
        assert (await api.post(f"/v1/breakers/{name}/pause")).status_code == 422


async def test_a_forgotten_breaker_is_gone(api, name):
    await api.post(f"/v1/breakers/{name}/pause")
    assert (await api.delete(f"/v1/breakers/{name}")).status_code == 204
    assert (await api.get(f"/v1/breakers/{name}")).status_code == 404


async def test_check_says_until_when(api, name):
    await trip(api, name, retry_after=LONG)
    told = (await api.get(f"/v1/breakers/{name}/check")).json()
    assert told["paused"]
    assert LONG - 60 < told["resumes_in"] <= LONG


async def test_check_waits_for_the_end_of_a_pause_and_gives_leave(api, name):
    await trip(api, name)
    path = f"/v1/breakers/{name}/check"
    waiting = asyncio.create_task(api.get(path, params={"wait": 50}, timeout=60))
    assert (await api.get(path, params={"wait": 0.01})).json()["paused"]
    assert not waiting.done()
    await api.post(f"/v1/breakers/{name}/resume")
    told = (await waiting).json()
    assert not told["paused"]
    report = {"permit": told["permit"]}
    assert (await api.post(f"/v1/breakers/{name}/successes", json=report)).status_code == 200


async def test_a_permit_of_an_older_epoch_changes_nothing(api, name):
    await api.post(f"/v1/breakers/{name}/rate-limit-errors")
    check = await api.get(f"/v1/breakers/{name}/check", params={"wait": 5})
    await trip(api, name, retry_after=LONG)
    report = {"permit": check.json()["permit"]}
    await api.post(f"/v1/breakers/{name}/successes", json=report)
    assert (await api.get(f"/v1/breakers/{name}")).json()["is_paused"]


async def test_a_permit_that_is_none_is_refused(api, name):
    told = await api.post(f"/v1/breakers/{name}/successes", json={"permit": "mine"})
    assert (told.status_code, "not a permit" in told.json()["detail"]) == (422, True)


async def test_a_store_that_is_away_is_said(name):
    app = create_app("redis://127.0.0.1:1")
    async with app.router.lifespan_context(app), client_of(app) as client:
        for answer in (
            await client.get("/v1/breakers"),
            await client.get(f"/v1/breakers/{name}/check"),
            await client.post(f"/v1/breakers/{name}/rate-limit-errors"),
            await client.post(f"/v1/breakers/{name}/pause"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "urn:breaker:store-unavailable"


async def test_a_body_has_a_limit(api, name):
    for content in (b"x" * 70_000, _endless()):
        told = await api.post(f"/v1/breakers/{name}/pause", content=content)
        assert (told.status_code, told.json()["type"]) == (413, "urn:breaker:too-long")


async def _endless():
    for _ in range(100):
        yield b"x" * 1_000


async def test_browsers_are_told_to_be_careful(api):
    headers = (await api.get("/v1/breakers")).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == (
        "DENY",
        "nosniff",
    )


async def test_head_is_like_get(api, name):
    await api.post(f"/v1/breakers/{name}/pause")
    told = await api.head(f"/v1/breakers/{name}")
    assert (told.status_code, told.content) == (200, b"")
