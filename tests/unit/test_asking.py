"""What a worker makes of replies that overtake each other."""

import json

from breaker.protocol.asking import Asker
from breaker.protocol.keys import Keys
from breaker.protocol.requests import Tell
from breaker.settings import Settings

NOTHING_THERE = {"version": 0, "exists": False}


def asker(registered_for=""):
    one = Asker(Keys("breaker", "q"), "c", "w", Settings.resolve({}, {}), clock=lambda: 0.0)
    one._registered_for = registered_for
    return one


def sent(one):
    """A reading whose question is on its way."""
    reading = one.read()
    next(reading)
    return reading


def told(reading, **reply):
    """The events that are told when its reply comes."""
    events, answer = [], json.dumps(reply)
    try:
        request = reading.send(answer)
        while isinstance(request, Tell):
            events += [step.event for step in request.transitions]
            request = next(reading)
    except StopIteration:
        return events


def test_a_state_that_was_not_there_yet_was_not_lost():
    """Another thread makes the state, and its reply comes first."""
    one = asker()
    reading = sent(one)
    one._registered_for = "i"
    assert told(reading, **NOTHING_THERE) == []
    assert one._registered_for == "i"


def test_a_lost_state_is_told_once():
    one = asker("i")
    first, second = sent(one), sent(one)
    assert told(first, **NOTHING_THERE) == ["state-lost"]
    assert told(second, **NOTHING_THERE) == []
    assert told(sent(one), incarnation="j", version=1) == []


def test_a_reply_that_was_overtaken_is_no_older_state():
    one = asker("i")
    first, second = sent(one), sent(one)
    assert told(second, incarnation="i", version=8) == []
    assert told(first, incarnation="i", version=7) == []


def test_an_older_state_is_told_once():
    one = asker("i")
    assert told(sent(one), incarnation="i", version=8) == []
    first, second = sent(one), sent(one)
    assert told(first, incarnation="i", version=2) == ["state-lost"]
    assert told(second, incarnation="i", version=3) == []
