"""What a caller is made to do, from what the store says."""

import json

import pytest

from breaker.protocol.asking import Asker
from breaker.protocol.keys import Keys
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Ask, Send, Sleep, Tell
from breaker.settings import Settings

SLOT = {
    "incarnation": "i",
    "version": 1,
    "news": 1,
    "state": "half-open",
    "paused": False,
    "epoch": 1,
    "run": 1,
    "count": 0,
    "pace": 2.0,
    "told": 2.0,
    "granted": True,
    "wait_ms": 200,
    "in_turn": False,
    "probe": False,
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def slept(timeout):
    """How long a caller that is given a slot a little ahead is made to sleep."""
    clock, sleeps = Clock(), []
    settings = Settings.resolve({}, {})
    asker = Asker(Keys("breaker", "q"), "c", "w", settings, clock=clock)
    plan = Plans(asker, random=lambda: 0.0).acquire(timeout)
    answers = {Ask: json.dumps(SLOT), Send: 1, Sleep: None, Tell: None}
    request = next(plan)
    while request is not None:
        if isinstance(request, Sleep):
            sleeps.append(request.seconds)
            clock.now += request.seconds
        request = after(plan, answers[type(request)])
    return sum(sleeps)


def after(plan, answer):
    """What is asked next; None at the end."""
    try:
        return plan.send(answer)
    except StopIteration:
        return None


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_whoever_can_wait_sleeps_until_its_slot(timeout):
    assert slept(timeout) == pytest.approx(0.2)


def test_whoever_cannot_wait_goes_at_once():
    assert slept(0) == 0.0
