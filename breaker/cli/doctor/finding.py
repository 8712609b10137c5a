"""What a check found, and what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.permissions import WITHOUT


class Level(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was checked.
        level: how good or bad it is.
        message: what was found.
        advice: what to do about it; empty if nothing.
    """

    name: str
    level: Level
    message: str
    advice: str = ""


Look = Callable[[Case], Iterator[Check]]


def lacking(name: str, found: str, advice: str, purpose: str) -> Check:
    """A missing right: a fault, unless only push or the history needs it."""
    if purpose:
        return Check(name, Level.WARN, f"{found}: {WITHOUT[purpose]}", advice)
    return Check(name, Level.FAIL, found, advice)
