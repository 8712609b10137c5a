import json
import re
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from breaker import State, Transition
from breaker.cli import events, show
from breaker.cli.exits import Exit
from breaker.transitions import EVENTS, STATES
from tests.cli.conftest import recover, trip


@pytest.fixture
def history(make, client):
    steps = (
        lambda: trip(make("content", threshold=2), retry_after=90),
        lambda: make("mail").pause(None, "deploy", "ana@ops"),
        lambda: make("content").resume("ben@ops"),
        lambda: make("mail").configure({"threshold": 7, "cooldown": 30}, "ana@ops"),
    )
    for step in steps:
        step()
        await_next_millisecond(client)


def await_next_millisecond(client):
    """Within one millisecond the order of two breakers is not defined."""
    began = milliseconds(client)
    while milliseconds(client) == began:
        pass


def milliseconds(client):
    seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


@pytest.mark.usefixtures("history")
def test_all_are_merged_in_the_order_of_time(run):
    lines = run("events").stdout.splitlines()
    words = [line.split()[2:4] for line in lines[1:]]
    assert words == [
        ["content", "tripped"],
        ["mail", "paused"],
        ["content", "resumed"],
        ["mail", "settings"],
    ]
    assert "closed -> open" in lines[1]
    assert "1m30s" in lines[1]
    assert "2 rate limit errors in a row (by worker-1:42)" in lines[1]
    assert "deploy (by ana@ops)" in lines[2]
    assert "threshold=7" in lines[4]
    assert "cooldown=30s" in lines[4]


@pytest.mark.usefixtures("history")
def test_one_breaker_alone(run):
    lines = run("events", "mail").stdout.splitlines()[1:]
    assert {line.split()[2] for line in lines} == {"mail"}


@pytest.mark.usefixtures("history")
def test_the_last_ones(run):
    lines = run("events", "--limit", "2").stdout.splitlines()[1:]
    assert [line.split()[3] for line in lines] == ["resumed", "settings"]


@pytest.mark.usefixtures("history")
def test_machines_get_an_object_per_line(run):
    answers = [json.loads(line) for line in run("events", "--json").stdout.splitlines()]
    assert [answer["event"] for answer in answers] == [
        "tripped",
        "paused",
        "resumed",
        "settings",
    ]
    assert list(answers[0]) == [field.name for field in fields(Transition)]
    assert answers[0]["at"].endswith("Z")


def test_an_override_that_is_removed_is_named(run, make):
    make("content").record_rate_limit_error()
    run("set", "content", "cooldown=5m", "threshold=7", "--by", "ana")
    run("set", "content", "cooldown=", "--unset", "threshold", "--by", "ana")
    last = run("events", "content").stdout.splitlines()[-1]
    assert last.endswith("set by an operator threshold= cooldown= (by ana)")
    answer = json.loads(run("events", "content", "--json").stdout.splitlines()[-1])
    assert answer["settings"] == {"threshold": None, "cooldown": None}


def test_an_option_that_a_release_takes_back_is_named(run, make):
    make("content", threshold=7, push=False).record_success()
    make("content", push=False).record_success()
    last = run("events", "content").stdout.splitlines()[-1]
    assert last.endswith("declared by a worker threshold=5 (by worker-1:42)")


def test_an_order_says_what_it_replaces(run, make):
    make("content").record_rate_limit_error()
    run("pause", "content", "--reason", "deploy", "--by", "ana")
    run("pause", "content", "--for", "5m", "--reason", "again", "--by", "ben")
    last = run("events", "content").stdout.splitlines()[-1]
    assert last.endswith(
        "5m      again (replaces paused until resumed by ana: deploy) (by ben)"
    )


@pytest.mark.parametrize("state", State)
def test_every_event_has_the_colour_of_the_state_that_it_led_to(state):
    for name, event in EVENTS.items():
        for _, after in event.steps:
            step = Transition(name, name, "closed", after, 1, datetime.now(UTC))
            wanted = "" if name == "settings" else show.style(after)
            assert events.style(step) == wanted
    assert STATES[state].colour in show.style(state)
    assert show.style(state).startswith("bold") is STATES[state].is_paused


def test_a_trip_in_shadow_mode_is_marked(run, make):
    trip(make("content", threshold=1, mode="shadow"))
    assert "tripped (shadow)" in run("events").stdout


def test_a_cut_says_from_which_pace_to_which_and_for_how_long_it_paused(run, make):
    breaker = make("content", threshold=1, cooldown=60)
    recover(breaker)
    breaker.acquire(timeout=10).success()
    breaker.acquire(timeout=10).rate_limited(2)
    last = run("events").stdout.splitlines()[-1]
    assert "cut" in last
    assert "half-open -> open" in last
    assert " 2s " in last
    assert re.search(r"paced down from [\d.]+ to [\d.]+ jobs/s \(by worker-1:42\)$", last)


def test_nothing_yet_is_no_error(run):
    result = run("events")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no events yet\n"
    assert run("events", "--json").stderr == ""


def test_an_unknown_name(run):
    assert run("events", "nobody").exit_code == Exit.UNKNOWN


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_bad_limit_is_one_clear_line(run, limit):
    result = run("events", "--limit", limit)
    assert result.exit_code == Exit.USAGE
    assert "--limit" in result.stderr
    assert result.stderr.count("\n") == 1


def test_following_shows_what_happens_until_ctrl_c(start, make):
    content = make("content", threshold=1)
    trip(content)
    running = start("events", "--follow")
    running.line("content", "tripped")
    content.resume("ana")
    running.line("content", "resumed", "(by ana)")
    make("mail").pause(None, "deploy", "ben")
    running.line("mail", "paused", "deploy (by ben)")
    assert running.interrupt() == 0
    assert running.err.empty()


def test_following_one_leaves_the_others_out(start, make):
    content = make("content")
    content.record_rate_limit_error()
    running = start("events", "content", "--follow", "--json")
    make("mail").pause()
    content.pause()
    assert json.loads(running.line())["name"] == "content"
    assert running.interrupt() == 0


def test_following_sees_what_time_alone_does(start, make):
    content = make("content", threshold=1, cooldown=0.5)
    trip(content)
    running = start("events", "-f")
    running.line("content", "half-open", "pause over")
    assert running.interrupt() == 0


def test_following_catches_up_with_many(start, make):
    content = make("content")
    content.pause()
    running = start("events", "-f")
    running.line("paused")
    for _ in range(30):
        content.pause()
        content.resume()
    content.disable()
    seen = [running.line() for _ in range(61)]
    assert [line.split()[3] for line in seen] == ["paused", "resumed"] * 30 + ["disabled"]
    assert running.interrupt() == 0


def test_following_outlives_an_outage(start, make, server):
    make("content").record_rate_limit_error()
    running = start("events", "--follow")
    make("content").pause()
    running.line("paused")
    server.pause()
    running.line("does not answer", "retrying", stderr=True)
    server.resume()
    running.line("the store answers again", stderr=True)
    make("content").resume()
    running.line("resumed")
    assert running.interrupt() == 0
