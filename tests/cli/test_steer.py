import json
import socket

import pytest

from breaker.cli.durations import exact
from breaker.cli.exits import Exit
from breaker.settings import LONGEST_PAUSE
from tests.cli.conftest import trip


def test_pause_for_a_while(run, make):
    make("content").record_rate_limit_error()
    result = run("pause", "content", "--for", "5m", "--reason", "deploy", "--by", "ana@ops")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith("content  forced-open until ")
    assert "(in 5m), 1/5 errors: deploy (by ana@ops) (was closed)" in result.stdout
    status = make("content").status()
    assert (status.reason, status.by) == ("deploy", "ana@ops")
    assert 290 < (status.resumes_in or 0) <= 300


def test_pause_until_resumed(run, make):
    make("content").record_rate_limit_error()
    assert "until resumed" in run("pause", "content").stdout
    assert make("content").status().resumes_in is None


def test_the_operator_is_named_by_itself(run, make):
    run("pause", "content", "--new")
    user, _, host = make("content").status().by.partition("@")
    assert user
    assert host == socket.gethostname()


@pytest.mark.parametrize("verb", ["pause", "disable"])
def test_a_new_name_has_to_be_meant(run, make, client, prefix, verb):
    make("content").record_rate_limit_error()
    before = set(client.scan_iter(f"{prefix}*"))
    result = run(verb, "contents")
    assert result.exit_code == Exit.UNKNOWN
    assert result.stderr == (
        "no breaker is called 'contents'; did you mean 'content'?; "
        f"to {verb} it all the same, add --new\n"
    )
    assert set(client.scan_iter(f"{prefix}*")) == before
    assert run(verb, "contents", "--new").exit_code == 0
    assert make("contents").status().order


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, Exit.UNCONFIRMED)])
def test_a_person_is_asked(run, make, monkeypatch, answer, code):
    asked: list[str] = []
    monkeypatch.setattr("breaker.cli.targets.is_asked", lambda: True)

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    make("content").record_rate_limit_error()
    assert run("pause", "contents").exit_code == code
    assert asked[0].endswith("did you mean 'content'?\nThis would make it. Go on?")
    assert make("contents").is_paused() == answer
    assert run("resume", "--all").exit_code == code


def test_several_names_and_patterns(run, make):
    for name in ("a-1", "a-2", "b-1", "c[1]"):
        make(name).record_rate_limit_error()
    assert run("pause", "b-1", "c[1]").exit_code == 0
    result = run("pause", "a-*", "b-1")
    assert result.exit_code == Exit.UNCONFIRMED
    assert result.stderr == (
        "This would pause 3 breakers: a-1, a-2, b-1. Nothing changed: add --yes\n"
    )
    answer = json.loads(run("pause", "a-?", "--yes", "--json").stdout)
    assert [one["name"] for one in answer] == ["a-1", "a-2"]
    assert run("pause", "x*", "--yes").exit_code == Exit.UNKNOWN


def test_an_order_says_what_it_replaces(run, make):
    make("content").pause(reason="provider is down", by="alice")
    result = run("pause", "content", "--for", "1m", "--by", "bob")
    assert "replaces: paused until resumed by alice: provider is down" in result.stdout


def test_a_new_name_like_no_other_is_told_the_known(run, make):
    for number in range(7):
        make(f"queue-{number}").record_rate_limit_error()
    result = run("pause", "zzz", "--by", "ana")
    assert "there are 'queue-0', 'queue-1'" in result.stderr
    assert "and 2 more (breaker status)" in result.stderr


def test_resume(run, make):
    trip(make("content", threshold=2))
    result = run("resume", "content", "--by", "ana")
    assert result.stdout == "content  closed, 0/2 errors (was open)\n"
    assert not make("content").is_paused()
    assert make("content").events()[-1].by == "ana"


def test_what_was_done_before_is_said_so(run, make):
    make("content").record_success()
    assert run("resume", "content").stdout == ("content  closed, 0/5 errors; nothing changed\n")


def test_disable_and_enable(run, make):
    trip(make("content", threshold=1))
    assert run("disable", "content", "--by", "ana", "--reason", "tests").stdout == (
        "content  disabled, 0/1 errors: tests (by ana) (was open)\n"
    )
    assert run("enable", "content").stdout == "content  closed, 0/1 errors (was disabled)\n"


def test_reset(run, make):
    make("content").record_rate_limit_error()
    run("disable", "content")
    said = run("reset", "content").stdout
    assert said.startswith("content  closed, 0/5 errors; replaces: disabled by ")
    assert said.endswith(" (was disabled)\n")


def test_a_pause_that_was_set_by_hand_is_ended(run, client, prefix):
    client.sadd(f"{prefix}s", "content")
    client.set(f"{prefix}:{{content}}:pause", "by hand")
    assert "content  forced-open" in run("status").stdout
    assert run("resume", "content").exit_code == 0
    assert not client.exists(f"{prefix}:{{content}}:pause")


@pytest.mark.parametrize("verb", ["resume", "reset", "enable", "forget"])
def test_nothing_is_created_by_mistake(run, make, client, prefix, verb):
    make("content").record_rate_limit_error()
    before = set(client.scan_iter(f"{prefix}*"))
    result = run(verb, "contents")
    assert result.exit_code == Exit.UNKNOWN
    assert result.stderr == "no breaker is called 'contents'; did you mean 'content'?\n"
    assert set(client.scan_iter(f"{prefix}*")) == before


@pytest.mark.parametrize("verb", ["pause", "resume", "reset", "disable", "enable"])
def test_machines_get_the_status_after_it(run, make, verb):
    make("content").record_rate_limit_error()
    answer = json.loads(run(verb, "content", "--json").stdout)
    assert answer["name"] == "content"
    assert answer["state"] == make("content").status().state


def test_all_at_once(run, make):
    for name in ("content", "images"):
        make(name).record_rate_limit_error()
    assert run("pause", "--all").exit_code == Exit.UNCONFIRMED
    result = run("pause", "--all", "--yes", "--for", "1m")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["content", "forced-open"],
        ["images", "forced-open"],
    ]
    answer = json.loads(run("resume", "--all", "-y", "--json").stdout)
    assert [(one["name"], one["state"]) for one in answer] == [
        ("content", "closed"),
        ("images", "closed"),
    ]


def test_the_longest_pause_that_the_command_takes_is_one_that_the_breaker_takes(run):
    result = run("pause", "content", "--new", "--for", exact(LONGEST_PAUSE))
    assert result.exit_code == 0
    assert "(in 365d)" in result.stdout


def test_a_breaker_that_is_forgotten_is_gone(run, make, client, prefix):
    for name in ("content", "mail", "images"):
        trip(make(name))
    assert run("forget", "content").stdout == "content  forgotten\n"
    left = list(client.scan_iter(f"{prefix}:{{content}}:*"))
    assert all(":seen:" in key and client.pttl(key) > 0 for key in left)
    assert client.smembers(f"{prefix}s") == {"mail", "images"}
    assert run("forget", "content").exit_code == Exit.UNKNOWN
    answer = json.loads(run("forget", "--all", "--yes", "--json").stdout)
    assert answer == {"forgotten": ["images", "mail"]}
    assert not client.exists(f"{prefix}s")
    assert run("forget", "--all").stderr.endswith(" has no breakers yet; nothing changed\n")


def test_all_of_none_is_a_note(run):
    result = run("resume", "--all")
    assert result.exit_code == 0
    assert result.stderr.startswith("redis://")
    assert result.stderr.endswith(" has no breakers yet; nothing changed\n")
    assert json.loads(run("resume", "--all", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pause"], "name a breaker, or give --all"),
        (["resume", "content", "--all"], "give names or --all, not both"),
        (["pause", "content", "--for", "5x"], "write 90, 90s, 5m, 1h30m or 500ms"),
        (["pause", "content", "--for", "0"], "a pause lasts more than 0s and at most 365d"),
        (["pause", "content", "--for", "366d"], "a pause lasts more than 0s and at most 365d"),
        (["pause", "content", "--for"], "requires an argument"),
        (["pause", "content", "--untill", "5m"], "such option"),
        (["pause", ""], "name must not be empty"),
    ],
)
def test_bad_input_is_one_clear_line(run, make, client, prefix, words, message):
    make("content").record_rate_limit_error()
    before = set(client.scan_iter(f"{prefix}*"))
    result = run(*words)
    assert result.exit_code == Exit.USAGE
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert set(client.scan_iter(f"{prefix}*")) == before
