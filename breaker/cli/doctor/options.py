"""What operators set and what releases declare, beside what is in force."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.cli.durations import exact
from breaker.errors import StoreError
from breaker.model import Status
from breaker.settings import OPTIONS


def options(case: Case) -> Iterator[Check]:
    """Name overrides, releases that disagree, and changes that could not be published."""
    with suppress(StoreError):  # `breakers` says which ones cannot be read
        for status in case.fleet.statuses():
            yield from _of(status)


def _of(status: Status) -> Iterator[Check]:
    if status.overrides:
        undo = " ".join(f"{name}=" for name in status.overrides)
        yield Check(
            "options",
            Level.OK,
            f"{status.name}: an operator has set {_assigned(status.overrides)}",
            f"to undo: breaker set {shlex.quote(status.name)} {undo}",
        )
    if status.conflict:
        in_force = {name: getattr(status, name) for name in status.conflict}
        yield Check(
            "options",
            Level.WARN,
            f"{status.name}: {status.conflict_by or 'a worker'} declares "
            f"{_assigned(status.conflict)}, but {_assigned(in_force)} is in force",
            "two releases run side by side: deploy one of them everywhere",
        )
    if status.push_lost:
        yield Check(
            "push",
            Level.WARN,
            f"{status.name}: the last change could not be published: {status.push_lost}",
            "workers ask the store for each job until one can",
        )


def _assigned(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={exact(value) if OPTIONS[name].is_duration else value}"
        for name, value in values.items()
    )
