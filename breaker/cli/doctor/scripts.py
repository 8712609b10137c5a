"""Whether every script has the rights it needs."""

import shlex
from collections import defaultdict
from collections.abc import Iterator

import redis

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level, lacking
from breaker.cli.doctor.rehearsal import Rehearsal, Trouble


def scripts(case: Case) -> Iterator[Check]:
    """Run each script once, on a scratch breaker."""
    rehearsal = Rehearsal(case.store, case.prefix)
    # The rehearsal sends a script's text only if the store does not have it yet.
    case.client.eval("return 1", 0)
    try:
        troubles = list(rehearsal.troubles())
    finally:
        left = _cleaned_up(case, rehearsal)
    yield from _verdicts(case, troubles)
    if left:
        yield Check("cleanup", Level.WARN, "scratch keys are left", f"DEL {shlex.join(left)}")


def _cleaned_up(case: Case, rehearsal: Rehearsal) -> list[str]:
    """Remove the scratch keys; return those that could not be removed."""
    left = []
    for key in sorted(rehearsal.touched):
        try:
            case.client.delete(key)
        except redis.RedisError:
            left.append(key)
    return left


def _verdicts(case: Case, troubles: list[Trouble]) -> Iterator[Check]:
    if not troubles:
        yield Check("scripts", Level.OK, "all scripts ran with the rights they need")
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for trouble in troubles:
        denied = f"the user {case.user!r} may not run {trouble.command}"
        said = denied if trouble.command else trouble.wrong or trouble.reason.rstrip(".")
        outside = "the history" if trouble.purpose else "the list of breakers"
        place = f"{trouble.script}.lua" if trouble.script else outside
        places[said, trouble.purpose].add(place)
    rule = case.remedy(" ".join(trouble.reason for trouble in troubles))
    rule = rule or next((trouble.order for trouble in troubles if trouble.order), "")
    for (said, purpose), names in places.items():
        found = f"{said} (in {', '.join(sorted(names))})"
        yield lacking("scripts", found, rule, purpose)
