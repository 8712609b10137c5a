"""What --json prints is what docs/cli.md says: each field, its kind, and no other field."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from breaker.cli.group import COMMANDS
from tests.cli.conftest import recover, trip

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()
# Commands that run until they are stopped, or only send something.
WITHOUT = {"alerts", "bridge", "demo", "serve"}

KINDS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "true or false": lambda value: isinstance(value, bool),
    "time": lambda value: bool(re.fullmatch(r".*T.*Z", str(value))),
    "options": lambda value: isinstance(value, dict),
    "texts": lambda value: all(isinstance(one, str) for one in value),
    "null": lambda value: value is None,
}


def tables() -> dict[str, list[tuple[str, str]]]:
    """The tables of fields: what each is called, and the fields with their kinds."""
    found = {}
    for part in PAGE.split("\n### ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", part, re.MULTILINE)
        found[part.partition("\n")[0]] = rows
    return found


def check(value: Any, table: str) -> None:
    """The value has the table's fields, in its order, and each is of its kind."""
    rows = tables()[table]
    assert list(value) == [name for name, _ in rows]
    for name, kind in rows:
        is_of_kind = False
        for one in kind.split(", "):
            if one.removesuffix("s").capitalize() in tables():
                inner = value[name]
                if isinstance(inner, list if one.endswith("s") else dict):
                    for each in inner if isinstance(inner, list) else [inner]:
                        check(each, one.removesuffix("s").capitalize())
                    is_of_kind = True
            else:
                is_of_kind = is_of_kind or KINDS[one](value[name])
        assert is_of_kind, f"{name} should be {kind}, not {value[name]!r}"


@pytest.fixture
def fleet(make):
    trip(make("content", threshold=2), retry_after=90)
    recover(make("mail", threshold=1))
    make("images").pause(None, "deploy", "ana")


@pytest.mark.usefixtures("fleet")
def test_the_state_of_all(run):
    for answer in json.loads(run("status", "--json").stdout):
        check(answer, "Status")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("name", ["content", "mail", "images"])
def test_the_state_of_one(run, name):
    answer = json.loads(run("status", name, "--json").stdout)
    last = answer.pop("last_trip")
    assert (last is None) is (name == "images")
    check(answer, "Status")
    if last:
        check(last, "Event")
        assert last["evidence"]


@pytest.mark.usefixtures("fleet")
def test_what_happened(run):
    run("set", "content", "cooldown=5m")
    lines = run("events", "--json").stdout.splitlines()
    assert {json.loads(line)["event"] for line in lines} >= {"tripped", "paused", "settings"}
    for line in lines:
        check(json.loads(line), "Event")


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "content", "--for", "5m"),
        ("resume", "content"),
        ("disable", "content"),
        ("enable", "content"),
        ("reset", "content"),
        ("set", "content", "threshold=7"),
    ],
)
def test_the_state_after_an_order(run, make, words):
    make("content").record_rate_limit_error()
    check(json.loads(run(*words, "--json").stdout), "Status")
    several = (words[0], "*", *words[2:], "--yes", "--json")
    for answer in json.loads(run(*several).stdout):
        check(answer, "Status")


def test_the_end_of_a_breaker(run, make):
    make("content").record_rate_limit_error()
    check(json.loads(run("forget", "content", "--json").stdout), "Forgotten")


def test_a_change_that_is_watched(start, make):
    make("content").record_rate_limit_error()
    running = start("watch", "--json")
    check(json.loads(running.line()), "Status")
    assert running.interrupt() == 0


def test_the_store(run):
    check(json.loads(run("doctor", "--json").stdout), "Examination")
    check(json.loads(run("doctor", "--acl", "--json").stdout), "Rule")


@pytest.mark.parametrize("text", ["openai.RateLimitError: slow down", "ValueError: x"])
def test_a_verdict(run, text):
    check(json.loads(run("classify", text, "--json").stdout), "Verdict")


def test_each_command_has_it_and_an_example():
    for name, place in COMMANDS.items():
        command = place.load(name)
        options = {option for one in command.params for option in one.opts}
        if name not in WITHOUT:
            assert "--json" in options, name
            assert re.search(rf"Examples?: .*breaker {name}\b", command.help), name
        if name != "alerts":  # which is on a page of its own
            assert f"| `{name}` | {place.line} |" in PAGE, f"| `{name}` | {place.line} |"
