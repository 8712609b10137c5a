import json

import click
import pytest

from breaker.cli.configure import set_options, words_so_far
from breaker.cli.exits import Exit


@pytest.fixture
def content(make):
    breaker = make("content", threshold=3, cooldown=20)
    breaker.record_rate_limit_error()
    return breaker


def test_options_are_set_over_what_workers_declare(run, content):
    result = run(
        "set", "content", "threshold=10", "cooldown=5m", "mode=shadow", "recovery=resume"
    )
    assert result.exit_code == 0
    assert result.stdout == (
        "content  closed (shadow), 1/10 errors; overrides now in force: "
        "threshold=10, cooldown=5m, recovery=resume, mode=shadow\n"
    )
    status = content.status()
    assert (status.threshold, status.cooldown, status.mode) == (10, 300.0, "shadow")


@pytest.mark.parametrize("words", [["threshold="], ["--unset", "threshold"]])
def test_options_are_taken_back(run, content, words):
    run("set", "content", "threshold=10")
    result = run("set", "content", *words)
    assert result.stdout == ("content  closed, 1/3 errors; overrides now in force: none\n")
    assert content.status().threshold == 3


def test_some_are_set_while_others_are_taken_back(run, content):
    run("set", "content", "threshold=10", "min_workers=2")
    run("set", "content", "cooldown=1.5s", "--unset", "threshold", "--unset", "min_workers")
    assert content.status().overrides == {"cooldown": 1.5}


def test_who_did_it_is_in_the_history(run, content):
    run("set", "content", "threshold=10", "--by", "ana")
    assert content.events()[-1].by == "ana"
    assert content.events()[-1].settings == {"threshold": 10}


@pytest.mark.usefixtures("content")
def test_all_at_once(run, make):
    make("images").record_rate_limit_error()
    answer = json.loads(run("set", "--all", "--yes", "mode=shadow", "--json").stdout)
    assert [(one["name"], one["mode"]) for one in answer] == [
        ("content", "shadow"),
        ("images", "shadow"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["content"],
            "give at least one option, such as threshold=10; valid options: threshold, cooldown",
        ),
        (["content", "threshold"], "'threshold' is not of the form OPTION=VALUE"),
        (["content", "foo=1"], "unknown option 'foo'; valid options: threshold, cooldown"),
        (["content", "--unset", "foo"], "unknown option 'foo'; valid options: threshold"),
        (["content", "threshold=many"], "threshold must be a whole number from 1 to 1,000,000"),
        (["content", "cooldown=5x"], "cooldown must be seconds from 0.001 to 86,400, not '5x'"),
        (["content", "cooldown=0"], "cooldown must be seconds from 0.001"),
        (
            ["content", "cooldown=2h"],
            "cooldown (7200 s) must not be above max_cooldown (3600 s)",
        ),
        (["content", "mode=x", "foo=1"], "mode must be 'enforce' or 'shadow', not 'x'"),
        (["threshold=3"], "name a breaker before its options, or give --all"),
        ([], "name a breaker before its options, or give --all"),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(run, content, words, message):
    before = content.status().version
    result = run("set", *words)
    assert result.exit_code == Exit.USAGE
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert content.status().version == before


def test_what_one_of_all_refuses_is_done_to_none(run, make, content):
    make("zebra", cooldown=1, max_cooldown=10).record_rate_limit_error()
    result = run("set", "--all", "--yes", "cooldown=60")
    assert result.exit_code == Exit.USAGE
    assert result.stderr == "cooldown (60 s) must not be above max_cooldown (10 s)\n"
    assert content.status().overrides == {}


@pytest.mark.usefixtures("content")
def test_an_unknown_name_is_not_created(run, client, prefix):
    result = run("set", "contents", "threshold=10")
    assert result.exit_code == Exit.UNKNOWN
    assert "did you mean 'content'?" in result.stderr
    assert not client.exists(f"{prefix}:{{contents}}:state")


def test_several_at_once(run, make, content):
    make("images").record_rate_limit_error()
    answer = json.loads(run("set", "content", "images", "mode=shadow", "--json").stdout)
    assert [one["mode"] for one in answer] == ["shadow", "shadow"]


def test_options_and_their_choices_are_completed(run):
    def complete(*words):
        last = words[-1]
        context = click.Context(set_options)
        context.params = {"words": words[:-1], "every": False}
        return [one.value for one in words_so_far(context, set_options.params[0], last)]

    assert "cooldown=" in complete("content", "c")
    assert complete("content", "mode=s") == ["mode=shadow"]
    assert complete("content", "recovery=p") == ["recovery=pace", "recovery=probe"]
    assert "threshold=" not in complete("t")
