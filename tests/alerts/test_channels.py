"""What each channel sends, and what is said of one that is named wrongly."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breaker import Breaker, ConfigurationError, configure
from breaker.alerts import chosen, compose
from breaker.alerts.channel import NotDelivered
from breaker.alerts.command import Command
from breaker.alerts.webhook import Slack, Webhook
from breaker.model import Evidence, Transition

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TRIP = Transition(
    "content",
    "tripped",
    "closed",
    "open",
    1,
    AT,
    reason="5 rate limit errors in a row",
    by="w1",
    pause=60.0,
    errors=5,
    evidence=(Evidence("e", "w1", AT - timedelta(seconds=9), 30.0),),
    trip_id="a" * 32,
    incarnation="i",
    version=7,
)


def alert_of(trip) -> Any:
    return compose.alert_of(trip)


def test_a_message_says_what_a_person_on_call_needs(monkeypatch):
    monkeypatch.setenv("BREAKER_PAGE_URL", "https://breaker.example/")
    alert = alert_of(TRIP)
    for part in (
        "'content' is paused until 03:05:05 UTC (60 s)",
        "5 rate limit errors in a row, since 03:03:56 UTC",
        "the upstream said: retry after 30 s",
        "breaker resume content",
    ):
        assert part in alert.text
    assert alert.page == "https://breaker.example/breaker?name=content"


def test_a_quota_says_that_waiting_may_not_help():
    assert "quota or balance" in alert_of(replace(TRIP, kind="quota")).text


def trips(count, every=120.0):
    """The latest first."""
    return [
        replace(TRIP, at=AT - timedelta(seconds=every * number), version=99 - number)
        for number in range(1, count + 1)
    ]


def test_a_queue_that_flaps_is_told_by_one_digest():
    alert = alert_of(TRIP)
    assert compose.digest(alert, trips(3)) is alert
    digest = compose.digest(alert, trips(4))
    assert digest.kind == "flapping"
    assert "5 trips since 02:56:05 UTC" in digest.text
    assert compose.digest(alert, trips(5)) is None


def test_a_storm_of_three_hours_is_few_alerts():
    storm = trips(90)
    told = [
        compose.digest(alert, storm[number + 1 :])
        for number, trip in enumerate(storm)
        if (alert := alert_of(trip))
    ]
    kinds = [alert.kind for alert in told[::-1] if alert]
    assert kinds == ["trip"] * 4 + ["flapping"] * (len(kinds) - 4)
    assert 3 <= len(kinds) - 4 <= 4


def test_trips_that_are_far_apart_are_no_series():
    alert = alert_of(TRIP)
    assert compose.digest(alert, trips(20, every=3600.0)) is alert


def test_slack_gets_a_text(sink):
    slack = Slack(sink.url, frozenset())
    slack.send(replace(alert_of(TRIP), text="a < b & c"))
    ((headers, body),) = sink.posts
    assert json.loads(body)["text"].endswith("a &lt; b &amp; c")
    assert headers["content-type"] == "application/json"
    assert "hook" not in slack.name


def test_a_webhook_is_signed(sink):
    secret = "whsec_" + base64.b64encode(b"key of 24 bytes exactly!").decode()
    Webhook(sink.url, secret, frozenset()).send(alert_of(TRIP))
    ((headers, body),) = sink.posts
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(b"key of 24 bytes exactly!", signed, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert headers["webhook-id"] == TRIP.trip_id
    assert json.loads(body)["transition"]["at"] == "2026-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    ("status", "headers", "retry_after", "is_final"),
    [
        (500, {}, None, False),
        (429, {"Retry-After": "7"}, 7.0, False),
        (404, {}, None, True),
        (302, {"Location": "http://127.0.0.1:1/"}, None, True),
    ],
)
def test_an_answer_other_than_2xx_is_not_delivered(
    sink, status, headers, retry_after, is_final
):
    sink.status, sink.headers = status, headers
    with pytest.raises(NotDelivered, match=f"HTTP {status}") as caught:
        Slack(sink.url, frozenset()).send(alert_of(TRIP))
    assert (caught.value.retry_after, caught.value.is_final) == (retry_after, is_final)


def test_a_server_that_is_not_there_is_tried_again():
    with pytest.raises(NotDelivered, match="no answer") as caught:
        Slack("http://127.0.0.1:1/", frozenset()).send(alert_of(TRIP))
    assert not caught.value.is_final


def program(tmp_path, text):
    path = tmp_path / "tell"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_command_gets_the_alert(tmp_path):
    path = program(
        tmp_path, f'cat > {tmp_path}/told; echo "$BREAKER_ALERT_KIND" >> {tmp_path}/kind'
    )
    Command(path, frozenset()).send(alert_of(TRIP))
    assert json.loads((tmp_path / "told").read_text())["id"] == TRIP.trip_id
    assert (tmp_path / "kind").read_text() == "trip\n"


def test_a_command_that_fails_is_not_delivered(tmp_path):
    path = program(tmp_path, "echo no printer; exit 4")
    with pytest.raises(NotDelivered, match="ended with 4: no printer"):
        Command(path, frozenset()).send(alert_of(TRIP))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("pager", "there is no channel 'pager'"),
        ("slack+hooks.example/x", "a webhook must begin with https://"),
        ("hooks.example/secret", "a webhook must begin with https://"),
        ("https://hooks.example/x", "set BREAKER_WEBHOOK_SECRET"),
        ("command:tell", "by its whole path"),
        ("command:/nowhere/tell", "is not there"),
        ("log#trips", "'trips' is nothing to be told of"),
    ],
)
def test_a_channel_that_is_wrong_is_one_error_at_the_start(monkeypatch, named, said):
    monkeypatch.setenv("BREAKER_ALERTS", f"log, {named}")
    with pytest.raises(ConfigurationError) as caught:
        Breaker("content")
    assert said in str(caught.value)
    assert "secret" not in str(caught.value).replace("SECRET", "").replace("a secret that", "")
    monkeypatch.delenv("BREAKER_ALERTS")
    with pytest.raises(ConfigurationError) as again:
        configure(alerts=[named])
    assert said in str(again.value)


def test_channels_that_are_named_are_made(monkeypatch, tmp_path):
    path = program(tmp_path, "true")
    monkeypatch.setenv("BREAKER_WEBHOOK_SECRET", "s")
    monkeypatch.setenv(
        "BREAKER_ALERTS",
        f"log, slack+https://a.example/x#trip+recovery, https://b.example/y, command:{path}",
    )
    slack, webhook, command = chosen.channels()
    assert slack.kinds == {"trip", "recovery"}
    assert slack.name.startswith("slack:a.example:")
    assert "flapping" not in webhook.kinds
    assert command.name == f"command:{path}"


def test_what_is_no_channel_is_refused():
    with pytest.raises(ConfigurationError, match="is no channel: it needs a name"):
        configure(alerts=[object()])
    with pytest.raises(ConfigurationError, match="must be a list of channels"):
        configure(alerts="log")
