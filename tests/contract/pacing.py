"""Bring a breaker to a pace that a test needs, without waiting for it to be found."""

from dataclasses import fields
from typing import Any

import redis

from breaker.pacing import Pace
from breaker.protocol.keys import Keys

_FIELDS = [field.name for field in fields(Pace)]


def store_now(client: redis.Redis) -> float:
    """Milliseconds on the store's clock."""
    seconds, micros = client.time()
    return float(seconds * 1000 + micros // 1000)


def pace_of(client: redis.Redis, name: str) -> dict[str, float]:
    text = client.hget(Keys("breaker", name)["state"], "pace")
    return dict(zip(_FIELDS, map(float, text.split()), strict=True))


def set_pace(client: redis.Redis, name: str, rate: float, **given: float) -> None:
    """Set a pace in jobs per second that does not rise; the next job may start at once."""
    now = store_now(client)
    steady = {"top": rate, "low": rate, "rise": 1e12, "told": rate, "misses": 0}
    fresh = {"slot": now, "began": now, "calm_from": now, "quiet_from": now}
    before = pace_of(client, name)
    none = {"called": before["turns"], "given": 0, "idle": 0, "calm_idle": 0}
    wanted = before | steady | fresh | none | given
    text = " ".join(format(wanted[field], ".17g") for field in _FIELDS)
    client.hset(Keys("breaker", name)["state"], "pace", text)


class Clock:
    """What a worker takes for the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def commands(client: redis.Redis) -> int:
    """How many scripts were called since the statistics were reset."""
    counted: dict[str, Any] = client.info("commandstats")
    return sum(
        counted.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha")
    )
