"""Bad input meets one clear error at the door."""

import json
import math

import pytest

import breaker
from breaker import AsyncBreaker, Breaker, ConfigurationError
from breaker.settings import OPTIONS, Settings, to_ms


@pytest.mark.parametrize("make", [Breaker, AsyncBreaker])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "must not be empty"),
        ("a{b", "no braces"),
        ("a}b", "no braces"),
        ("a\nb", "no control characters"),
        ("a\x00b", "no control characters"),
        ("\ud800", "no control characters"),
        ("x" * 201, "1 to 200 characters, not 201"),
        (7, "must be text, not 7"),
        (None, "must be text, not None"),
    ],
)
def test_bad_names(make, name, says):
    with pytest.raises(ConfigurationError, match=says):
        make(name)


@pytest.mark.parametrize(
    "name", ["content", "a b", "übung:9/ä", "x" * 200, "queue.with-all_of*it"]
)
def test_good_names(name):
    Breaker(name).close()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("threshold", 0, "threshold must be a whole number from 1 to 1,000,000, not 0"),
        ("threshold", math.nan, "threshold must be a whole number from 1"),
        ("threshold", 2.5, "threshold must be a whole number from 1"),
        ("threshold", True, "threshold must be a whole number from 1"),
        ("cooldown", -1, "cooldown must be seconds from 0.001 to 86,400, not -1"),
        ("cooldown", 0, "cooldown must be seconds"),
        ("cooldown", math.nan, "cooldown must be seconds"),
        ("cooldown", math.inf, "cooldown must be seconds"),
        ("cooldown", "soon", "cooldown must be seconds"),
        ("cooldown", 3601, r"cooldown \(3601 s\) must not be above max_cooldown \(3600 s\)"),
        ("max_cooldown", 1e9, "max_cooldown must be seconds"),
        ("recovery", "magic", "recovery must be 'pace', 'probe' or 'resume', not 'magic'"),
        ("mode", "off", "mode must be 'enforce' or 'shadow', not 'off'"),
        ("min_workers", 0, "min_workers must be a whole number from 1 to 100"),
        ("colour", "red", "unknown option 'colour'; valid options: threshold"),
    ],
)
def test_bad_options(option, value, says):
    with pytest.raises(ConfigurationError, match=says):
        Breaker("content", **{option: value})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "must look like redis://"),
        ("http://localhost", "must look like redis://"),
        ("redis://localhost:port/0", "does not parse"),
        ("redis://localhost:99999/0", "does not parse"),
        ("redis://localhost/one", "does not parse"),
        ("redis://user:secret@localhost/one", "does not parse"),
    ],
)
def test_bad_urls_are_named_without_their_password(url, says):
    with pytest.raises(ConfigurationError, match=says) as raised:
        Breaker("content", url=url)
    assert "secret" not in str(raised.value)


def test_bad_clients():
    with pytest.raises(ConfigurationError, match=r"must be a redis.Redis client .* not str"):
        Breaker("content", redis="localhost")
    with pytest.raises(ConfigurationError, match="give url or redis, not both"):
        Breaker("content", url="redis://localhost", redis=object())


def test_all_problems_at_once():
    with pytest.raises(ConfigurationError) as raised:
        Breaker("", url="nonsense", prefix="{", threshold=0, cooldown=-1, recovery="magic")
    assert len(raised.value.problems) == 6


def test_configure_checks_too():
    with pytest.raises(ConfigurationError):
        breaker.configure(threshold=0)


def test_what_is_given_wins_over_the_environment_over_the_defaults():
    environ = {"BREAKER_THRESHOLD": "7", "BREAKER_COOLDOWN": "9.5", "BREAKER_MODE": ""}
    settings = Settings.resolve({"cooldown": 30, "max_cooldown": None}, environ)
    assert (settings.threshold, settings.cooldown, settings.mode) == (7, 30, "enforce")


@pytest.mark.parametrize(
    ("given", "environ", "says"),
    [
        ({}, {"BREAKER_THRESHOLD": "0"}, "BREAKER_THRESHOLD must be a whole number"),
        ({}, {"BREAKER_COOLDOWN": "soon"}, "BREAKER_COOLDOWN must be seconds"),
        ({}, {"BREAKER_COOLDOWN": "4000"}, r"BREAKER_COOLDOWN \(4000 s\) .* max_cooldown \("),
        ({"threshold": 0}, {"BREAKER_THRESHOLD": "7"}, "^threshold must be a whole number"),
    ],
)
def test_a_bad_option_is_named_as_it_was_given(given, environ, says):
    with pytest.raises(ConfigurationError, match=says):
        Settings.resolve(given, environ)


def test_a_bad_url_in_the_environment_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("BREAKER_URL", "nonsense")
    with pytest.raises(ConfigurationError, match=r"^BREAKER_URL: not a valid store URL"):
        Breaker("content")
    with pytest.raises(ConfigurationError, match=r"^not a valid store URL"):
        Breaker("content", url="other")


def test_on_the_wire_durations_are_whole_milliseconds():
    wire = json.loads(Settings.resolve({"cooldown": 1.5}, {}).to_wire())
    assert wire["cooldown_ms"] == 1500
    assert set(wire) == {option.wire_name for option in OPTIONS.values()}
    assert to_ms(0.0001) == 1
    assert to_ms(0.3) == 300
    assert to_ms(0) == 0
