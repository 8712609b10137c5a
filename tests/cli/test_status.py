import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from breaker import Status, Transition
from breaker.cli.exits import Exit
from tests.cli.conftest import recover, trip


@pytest.fixture
def fleet(make):
    """Four breakers, one for each thing that may be the matter."""
    trip(make("content", threshold=3), retry_after=120)
    make("images", threshold=3).record_rate_limit_error()
    make("mail").pause(None, "deploy of the relay", "ana@ops")
    disabled = make("search")
    disabled.record_rate_limit_error()
    disabled.disable("ben@ops")


@pytest.mark.usefixtures("fleet")
def test_all_are_listed_the_paused_first(run):
    result = run("status")
    assert result.exit_code == 0
    rows = result.stdout.splitlines()
    assert [row.split()[0] for row in rows[1:5]] == ["mail", "content", "search", "images"]
    assert "deploy of the relay (by ana@ops)" in rows[1]
    assert "until resumed" in rows[1]
    assert "until " in rows[2]
    assert "(in 2m)" in rows[2] or "(in 1m 59s)" in rows[2]
    assert "3/3" in rows[2]
    assert "3 rate limit errors in a row (by worker-1:42)" in rows[2]
    assert rows[3].split() == ["search", "disabled", "0/5", "0", "by", "ben@ops"]
    assert rows[4].split() == ["images", "closed", "1/3", "0"]


@pytest.mark.usefixtures("fleet")
def test_the_way_out_is_named(run, url, prefix):
    last = run("status").stdout.splitlines()[-1]
    command = f"breaker --prefix {prefix} --url {url} resume mail"
    assert last == f"2 of 4 paused. To resume one now: {command}"


def test_nothing_is_cut_where_no_terminal_is(run, make):
    name = "a queue with a very long name " + "x" * 150
    make(name).pause(60, "because " + "y" * 300, "ana")
    lines = run("status").stdout.splitlines()
    assert name in lines[1]
    assert "y" * 300 in lines[1]


def test_no_breaker_is_no_error(run, prefix):
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout.startswith("No breakers yet at redis://")
    assert prefix in result.stdout


def test_one_breaker_shows_everything(run, make):
    breaker = make("content", threshold=2, cooldown=90)
    breaker.record_rate_limit_error(None, "request-2")
    breaker.record_rate_limit_error(30, "request-1")
    run("set", "content", "max_cooldown=2h")
    text = run("status", "content").stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("content open until ")
    assert "why 2 rate limit errors in a row" in lines
    assert "by worker-1:42" in lines
    assert "errors 2 of 2 in a row" in lines
    assert "cooldown 1m30s" in lines
    assert "max_cooldown 2h (set by an operator)" in lines
    assert any(line.startswith("last trip") and "paused for 30s" in line for line in lines)
    assert any("worker-1:42 Retry-After 30s request-1" in line for line in lines)
    assert any("worker-1:42 request-2" in line for line in lines)
    assert any(line.startswith("to resume breaker ") for line in lines)


def test_what_lies_under_an_order_is_shown(run, make):
    trip(make("content"), retry_after=90)
    run("pause", "content", "--for", "5m", "--reason", "deploy", "--by", "ana")
    lines = [" ".join(line.split()) for line in run("status", "content").stdout.splitlines()]
    assert lines[0].startswith("content forced-open until ")
    assert any(line.startswith("under it open for another 1m") for line in lines)
    run("resume", "content")
    run("disable", "content")
    assert "under it      closed" in run("status", "content").stdout


def test_options_that_another_release_declares_are_shown(run, make):
    for _ in range(2):
        make("content", threshold=3, worker="old", push=False).record_success()
        make("content", threshold=7, worker="new", push=False).record_success()
    lines = run("status", "content").stdout.splitlines()
    assert "  threshold     7          (old declares 3)" in lines


def test_a_probe_that_is_out_is_shown(run, make):
    breaker = make("content", threshold=1, cooldown=0.001, recovery="probe")
    trip(breaker)
    breaker.acquire(5)
    text = run("status", "content").stdout
    assert "half-open" in text
    assert "one job is probing; the next may start in 30s" in text


def test_a_pace_is_seen_at_a_glance(run, make):
    breaker = make("content", threshold=1, cooldown=60)
    recover(breaker)
    make("images").record_success()
    pace = f"{breaker.status().pace:.3g}"
    lines = run("status").stdout.splitlines()
    assert f"content  half-open, paced at most {pace} jobs/s  " in lines[1]
    assert "1 rate limit errors in a row (by worker-1:42)" in lines[1]
    assert "jobs/s" not in lines[2]
    assert lines[-1] == "0 of 2 paused, 1 recovering."
    one = run("status", "content").stdout
    assert one.startswith(f"content  half-open, paced at most {pace} jobs/s\n")
    assert "trips 1, rate limit errors 1, paused" in one


def test_a_cut_pace_says_so(run, make):
    breaker = make("content", threshold=1, cooldown=60)
    recover(breaker)
    breaker.acquire(timeout=10).rate_limited()
    one = run("status", "content").stdout
    assert "still limited: " in one or "paced down from " in one
    assert "trips 1, cuts of the pace 1, rate limit errors 2" in one
    answer = json.loads(run("status", "content", "--json").stdout)
    assert (answer["pace"], answer["cuts"]) == (breaker.status().pace, 1)


def test_machines_get_the_fields_of_status(run, make):
    trip(make("content", threshold=1), retry_after=90)
    [answer] = json.loads(run("status", "--json").stdout)
    assert list(answer) == [field.name for field in fields(Status)]
    assert answer["state"] == "open"
    assert 80 < answer["resumes_in"] <= 90
    opened = datetime.fromisoformat(answer["opened_at"])
    assert opened.tzinfo
    assert abs(datetime.now(UTC) - opened) < timedelta(minutes=1)


def test_machines_get_the_last_trip_of_one(run, make):
    trip(make("content", threshold=2), retry_after=90)
    answer = json.loads(run("status", "content", "--json").stdout)
    trip_ = answer.pop("last_trip")
    assert list(answer) == [field.name for field in fields(Status)]
    assert list(trip_) == [field.name for field in fields(Transition)]
    assert trip_["pause"] == 90
    assert [error["worker"] for error in trip_["evidence"]] == ["worker-1:42"] * 2
    assert trip_["evidence"][0]["at"].endswith("Z")


def test_a_breaker_that_never_tripped_has_no_last_trip(run, make):
    make("content").record_rate_limit_error()
    assert json.loads(run("status", "content", "--json").stdout)["last_trip"] is None


def test_no_breaker_is_an_empty_list(run):
    assert json.loads(run("status", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["mail"], 0),
        (["mail", "--check"], Exit.PAUSED),
        (["images", "--check"], 0),
        (["--check"], Exit.PAUSED),
        (["--check", "--json"], Exit.PAUSED),
    ],
)
@pytest.mark.usefixtures("fleet")
def test_scripts_can_ask(run, words, code):
    assert run("status", *words).exit_code == code


@pytest.mark.usefixtures("fleet")
def test_an_unknown_name_is_answered_with_the_one_meant(run):
    result = run("status", "contents")
    assert result.exit_code == Exit.UNKNOWN
    assert result.stdout == ""
    assert result.stderr == "no breaker is called 'contents'; did you mean 'content'?\n"


@pytest.mark.usefixtures("fleet")
def test_reading_creates_nothing(run, client, prefix):
    before = set(client.scan_iter(f"{prefix}*"))
    run("status", "nobody")
    assert set(client.scan_iter(f"{prefix}*")) == before


def test_a_bad_name_is_one_line(run):
    result = run("status", "a{b}")
    assert result.exit_code == Exit.USAGE
    assert result.stderr == "name must have no braces and no control characters: 'a{b}'\n"


def test_a_name_whose_state_is_gone_is_no_breaker(run, make, client, prefix):
    make("content").record_rate_limit_error()
    client.sadd(f"{prefix}s", "gone")
    assert "gone" not in run("status").stdout
    assert run("status", "gone").stderr == "no breaker is called 'gone'; there are 'content'\n"


def test_the_way_out_of_a_name_that_looks_like_an_option(run, make):
    make("-x y").pause()
    *_, last = run("status").stdout.splitlines()
    assert last.endswith("resume -- '-x y'")
    assert run("resume", "--", "-x y").exit_code == 0


def test_one_that_cannot_be_read_hides_no_other(run, make, client, prefix):
    make("content").pause()
    client.set(f"{prefix}:{{poisoned}}:state", "x")
    client.sadd(f"{prefix}s", "poisoned")
    for words in (["status"], ["resume", "--all", "--yes"]):
        result = run(*words)
        assert result.exit_code == 0
        assert "content" in result.stdout
        assert "'poisoned' cannot be read: the store at " in result.stderr
        assert "run `breaker doctor`" in result.stderr


@pytest.fixture
def many(make):
    """Ten with a common beginning, of which the last has the most errors, and one other."""
    for number in range(10):
        breaker = make(f"together:{number}", threshold=20, push=False)
        for _ in range(number + 1):
            breaker.record_rate_limit_error()
    make("images").pause()


@pytest.mark.usefixtures("many")
def test_a_pattern_shows_those_that_match(run):
    names = [one["name"] for one in json.loads(run("status", "t*[13]", "--json").stdout)]
    assert names == ["together:1", "together:3"]
    assert "0 of 10 paused" in run("status", "together:*").stdout
    assert run("status", "together:*", "--check").exit_code == 0
    assert run("status", "i*", "--check").exit_code == Exit.PAUSED
    unknown = run("status", "mail*")
    assert unknown.exit_code == Exit.UNKNOWN
    assert "'mail*'" in unknown.stderr


@pytest.mark.usefixtures("many")
def test_a_name_that_looks_like_a_pattern_is_a_name(run, make):
    make("t[1]").record_rate_limit_error()
    assert json.loads(run("status", "t[1]", "--json").stdout)["name"] == "t[1]"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("sort", "first"),
    [("state", "images"), ("name", "images"), ("errors", "together:9"), ("trips", "images")],
)
def test_what_comes_first_can_be_chosen(run, sort, first):
    assert json.loads(run("status", "--sort", sort, "--json").stdout)[0]["name"] == first


def test_the_longest_paused_come_first(run, make):
    make("a").pause()
    make("b").record_rate_limit_error()
    found = json.loads(run("status", "--sort", "paused", "--json").stdout)
    assert [one["name"] for one in found] == ["a", "b"]
