"""The page, read and used as a browser without JavaScript does."""

import re
from urllib.parse import urlencode

import pytest

from breaker import Breaker
from breaker.service import session
from breaker.service.app import create_app
from tests.service.conftest import client_of

ELSEWHERE = "192.0.2.7"
LONG = 300
HOSTILE = [
    "<script>alert(1)</script>\"'&",
    "\u202eevil",
    "مرحبا",
    "x" * 200,
    "..",
    "a/b?c#d",
    "%2F",
]


def at(path, name, **more):
    return f"{path}?{urlencode({'name': name, **more})}"


def hidden(text):
    return dict(re.findall(r'name="(form_token|version)" value="([^"]*)"', text))


async def order(client, name, verb, **fields):
    """Open the form and send it."""
    form = await client.get(at("/order", name, verb=verb))
    assert form.status_code == 200, form.text
    sent = {"reason": "because", **hidden(form.text), **fields}
    return await client.post(at("/order", name, verb=verb), data=sent)


@pytest.fixture
def breaker(url, name):
    with Breaker(name, url=url, push=False) as made:
        yield made


def trip(breaker):
    for number in range(5):
        breaker.record_rate_limit_error(LONG, error_id=f"job-{number}")


async def test_the_list_has_a_row_for_each_breaker(api, name, breaker):
    trip(breaker)
    text = (await api.get("/", params={"q": name})).text
    [row] = re.findall(r"<tr data-name.*?</tr>", text, re.DOTALL)
    for wanted in (
        'data-state="open"',
        "data-left",
        "5 of 5",
        "5 rate limit errors in a row",
        "<svg",
    ):
        assert wanted in row


async def test_the_list_is_filtered_by_name_and_state(api, name, breaker):
    trip(breaker)
    shown = at("/breaker", name).replace("&", "&amp;")
    assert shown in (await api.get("/", params={"q": name.upper(), "state": "open"})).text
    assert shown not in (await api.get("/", params={"q": name, "state": "closed"})).text
    assert "No breaker fits" in (await api.get("/", params={"q": name + "-not"})).text
    assert (await api.get(at("/row", name))).text.startswith("<tr")


async def test_a_breaker_has_a_page_with_its_evidence(api, name, breaker):
    trip(breaker)
    breaker.configure({"threshold": 9}, by="ada")
    text = (await api.get(at("/breaker", name))).text
    for wanted in ("job-4", "tripped", "1 trips, now open", "9", "ada: set by an operator"):
        assert wanted in text


@pytest.mark.parametrize("odd", HOSTILE)
async def test_hostile_names_and_reasons_are_text(api, name, url, odd):
    called = (odd + name)[:200] if len(odd) < 100 else (name + odd)[:200]
    called = ".." if odd == ".." else called
    called = called.replace("\u202e", "")  # no name may have it, a reason may
    with Breaker(called, url=url, push=False) as made:
        made.pause(LONG, reason=odd, by=odd)
    try:
        for path in ("/", at("/breaker", called), at("/order", called, verb="resume")):
            answer = await api.get(path)
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text
        assert (await order(api, called, "resume", reason=odd, by=odd)).status_code == 303
        assert (await api.get(at("/breaker", called))).status_code == 200
    finally:
        await order(api, called, "forget")


async def test_every_order_says_what_it_does_and_is_in_the_history(api, name, breaker):
    breaker.record_success()
    given = {"by": "ada", "reason": "provider incident"}
    assert (await order(api, name, "pause", minutes="5", **given)).status_code == 303
    status = breaker.status()
    assert (status.state, status.reason, status.by) == (
        "forced-open",
        "provider incident",
        "ada",
    )
    assert 200 < status.resumes_in <= LONG
    for verb, state in (
        ("resume", "closed"),
        ("disable", "disabled"),
        ("enable", "closed"),
        ("reset", "closed"),
    ):
        assert (await order(api, name, verb, **given)).status_code == 303
        assert breaker.status().state == state
        assert breaker.events()[-1].by == "ada"
    assert breaker.events()[-1].reason == "provider incident"


async def test_settings_are_overridden_and_taken_back(api, name, breaker):
    breaker.record_success()
    assert (await order(api, name, "settings", threshold="9", by="ada")).status_code == 303
    assert breaker.status().overrides == {"threshold": 9}
    assert breaker.events()[-1].by == "ada (because)"
    assert "an operator" in (await api.get(at("/breaker", name))).text
    assert (await order(api, name, "settings", threshold="")).status_code == 303
    assert breaker.status().overrides == {}
    wrong = await order(api, name, "settings", threshold="many")
    assert (wrong.status_code, "a whole number" in wrong.text) == (422, True)


async def test_a_breaker_forgotten_meanwhile(api, name, breaker):
    breaker.pause(LONG)
    form = hidden((await api.get(at("/order", name, verb="resume"))).text)
    assert (await order(api, name, "forget")).headers["location"] == "/"
    sent = await api.post(at("/order", name, verb="resume"), data={"reason": "x", **form})
    for answer in (sent, await api.get(at("/breaker", name)), await api.get(at("/row", name))):
        assert (answer.status_code, "It was forgotten" in answer.text) == (404, True)


async def test_the_second_operator_first_sees_what_the_first_did(api, name, breaker):
    breaker.pause(LONG)
    form = hidden((await api.get(at("/order", name, verb="resume"))).text)
    breaker.pause(LONG, reason="wait for the provider", by="grace")
    sent = {"reason": "mine", **form}
    late = await api.post(at("/order", name, verb="resume"), data=sent)
    assert late.status_code == 409
    assert "wait for the provider" in late.text
    assert "grace" in late.text
    assert breaker.status().state == "forced-open"
    again = await api.post(at("/order", name, verb="resume"), data=sent | hidden(late.text))
    assert (again.status_code, breaker.status().state) == (303, "closed")


@pytest.mark.parametrize(
    ("verb", "fields", "why"),
    [
        ("pause", {"reason": " "}, "Give a reason"),
        ("pause", {"reason": "x" * 401}, "at most 400 characters"),
        ("pause", {"minutes": "soon"}, "a number above 0"),
        ("pause", {"minutes": "nan"}, "a number above 0"),
        ("pause", {"minutes": "-1"}, "a number above 0"),
        ("settings", {}, "Nothing was changed"),
        ("settings", {"cooldown": "9999"}, "must not be above max_cooldown"),
    ],
)
async def test_a_wrong_form_comes_back_with_the_reason(api, name, breaker, verb, fields, why):
    breaker.record_success()
    answer = await order(api, name, verb, **fields)
    assert (answer.status_code, why in answer.text) == (422, True)
    assert breaker.status().state == "closed"


async def test_a_form_without_its_token_does_nothing(api, name, breaker):
    breaker.pause(LONG)
    form = hidden((await api.get(at("/order", name, verb="resume"))).text)
    for wrong in ("", "0" * 64, "ü"):
        sent = {"reason": "x", **form, "form_token": wrong}
        answer = await api.post(at("/order", name, verb="resume"), data=sent)
        assert (answer.status_code, "expired" in answer.text) == (403, True)
    foreign = {"Origin": "https://evil.example"}
    sent = {"reason": "x", **form}
    answer = await api.post(at("/order", name, verb="resume"), data=sent, headers=foreign)
    assert (answer.status_code, breaker.status().state) == (403, "forced-open")


async def test_paths_that_lead_nowhere(api, name, breaker):
    breaker.record_success()
    for path, code in (
        ("/breaker", 422),
        ("/breaker?name=%7B", 422),
        (at("/order", name, verb="explode"), 404),
        ("/static/other", 404),
    ):
        answer = await api.get(path)
        assert (answer.status_code, answer.text.count("<h1>")) == (code, 1)


async def test_a_browser_signs_in_with_a_token(with_tokens, name, breaker):
    breaker.pause(LONG)
    app = with_tokens(change="right", read="look")
    async with client_of(app, ELSEWHERE) as client:
        asked = await client.get(at("/breaker", name))
        assert (asked.status_code, "Sign in" in asked.text) == (401, True)
        wrong = await client.post("/login", data={"token": "guess"})
        assert (wrong.status_code, "This token is wrong" in wrong.text) == (401, True)
        to = at("/breaker", name)
        done = await client.post("/login", data={"token": "look", "to": to})
        assert (done.status_code, done.headers["location"]) == (303, to)
        cookie = done.headers["set-cookie"]
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert "look" not in cookie
        assert (await client.get("/v1/breakers")).status_code == 200
        refused = await client.get(at("/order", name, verb="resume"))
        assert (refused.status_code, "may look and not change" in refused.text) == (403, True)
        await client.post("/login", data={"token": "right"})
        # The cookie alone gives no order: a foreign page could make the browser send it.
        assert (await client.post(f"/v1/breakers/{name}/resume")).status_code == 401
        assert (await order(client, name, "resume")).status_code == 303
        await client.post("/logout")
        assert (await client.get("/")).status_code == 401


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", ""]
)
async def test_signing_in_leads_nowhere_else(with_tokens, to):
    async with client_of(with_tokens(change="right")) as client:
        done = await client.post("/login", data={"token": "right", "to": to})
    assert done.headers["location"] == "/"


async def test_a_session_ends_by_itself_and_with_its_token(
    with_tokens, name, breaker, monkeypatch
):
    breaker.pause(LONG)
    app = with_tokens(change="right", read="look")
    async with client_of(app) as client:
        await client.post("/login", data={"token": "right"})
        form = hidden((await client.get(at("/order", name, verb="resume"))).text)
        cookie = client.cookies[session.COOKIE]
        async with client_of(with_tokens(change="new", read="look")) as other:
            other.cookies.set(session.COOKIE, cookie)
            assert (await other.get("/")).status_code == 401
        for forged in (cookie[1:], cookie[:-1], f"9{cookie}", "x", "..", "9.9.9"):
            headers = {"Cookie": f"{session.COOKIE}={forged}"}
            async with client_of(app, **headers) as forger:
                assert (await forger.get("/")).status_code == 401
        later = session.time.time() + session.LASTS + 1
        monkeypatch.setattr(session.time, "time", lambda: later)
        sent = {"reason": "x", **form}
        answer = await client.post(at("/order", name, verb="resume"), data=sent)
        assert (answer.status_code, "Sign in" in answer.text) == (401, True)
    assert breaker.status().state == "forced-open"


async def test_guessing_at_the_login_is_bounded(with_tokens):
    async with client_of(with_tokens(change="right"), ELSEWHERE) as client:
        codes = [
            (await client.post("/login", data={"token": f"guess-{number}"})).status_code
            for number in range(21)
        ]
    assert codes == [401] * 20 + [429]


async def test_what_a_browser_may_do_with_the_page(api, name, breaker):
    breaker.record_success()
    for path in ("/", at("/breaker", name), at("/order", name, verb="pause"), "/login"):
        answer = await api.get(path)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script>|<style|style=|\son\w+=|https?://", answer.text)
    for file in re.findall(r'"(/static/[^"]+)"', answer.text):
        assert (await api.get(file)).status_code == 200


async def test_a_store_that_is_away(new_server, name):
    server = new_server()
    app = create_app(server.url)
    with Breaker(name, url=server.url, push=False) as breaker:
        trip(breaker)
    async with app.router.lifespan_context(app), client_of(app) as client:
        form = hidden((await client.get(at("/order", name, verb="resume"))).text)
        assert name in (await client.get("/")).text
        server.kill()
        for path in (at("/breaker", name), at("/order", name, verb="resume")):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert re.search(r"The store is away since 2\d{3}-", answer.text)
            assert "what it knew at" in answer.text
        sent = await client.post(
            at("/order", name, verb="resume"), data={"reason": "x", **form}
        )
        assert (sent.status_code, "may not have been carried out" in sent.text) == (503, True)
        answer = await client.get("/")
        assert name in answer.text
