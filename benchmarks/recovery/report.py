"""The results as text, as Markdown and as JSON, held against the targets."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from benchmarks.recovery.run import Outcome, Plan
from benchmarks.recovery.score import Score, allowance, score
from benchmarks.recovery.shapes import shape_named

LEAST_GOODPUT = 0.95
# Calls per second: below this allowance a share says little.
FEW = 10.0
# Seconds: below that allowance one lost call in this time is allowed.
FEW_EVERY = 10.0
LONGEST_BACK = 15.0
# Two runs of the same policy differ by as much.
NOISE_GOODPUT, NOISE_WASTE = 0.01, 0.002
BASELINE = "plain"

LEFT = 2  # columns of names

HEAD = (
    "shape",
    "policy",
    "goodput",
    "overall",
    "calls",
    "429s",
    "later",
    "waste",
    "stop",
    "back",
)
MORE = ("commands/call", "missed")


@dataclass(frozen=True)
class Row:
    """One run, judged.

    Attributes:
        plan: what was run.
        score: what it was worth.
        commands: the store's commands per call.
        series: calls, 200s and 429s of each second.
        paces: the breaker's pace at moments.
    """

    plan: Plan
    score: Score
    commands: float
    series: Mapping[str, Sequence[int]]
    paces: Sequence[tuple[float, float | None]]


def judged(outcome: Outcome) -> Row:
    """Take the score of a run."""
    plan = outcome.plan
    worth = score(outcome.log, shape_named(plan.shape, plan.rate, plan.seconds), plan.seconds)
    series = {"calls": [0] * math.ceil(plan.seconds)}
    series |= {what: list(series["calls"]) for what in ("served", "refused")}
    for call in outcome.log:
        if call.at < plan.seconds:
            series["calls"][int(call.at)] += 1
            series["served" if call.admitted else "refused"][int(call.at)] += 1
    return Row(plan, worth, outcome.commands / max(1, worth.calls), series, outcome.paces)


def missed(row: Row, rows: Iterable[Row]) -> list[str]:
    """The targets that a run has missed."""
    worth, plan = row.score, row.plan
    shape = shape_named(plan.shape, plan.rate, plan.seconds)
    is_slow = allowance(shape, 0.0, plan.seconds) / plan.seconds < FEW
    # What it costs to find the limit the first time says nothing of how it is kept.
    is_wasteful = (
        worth.later > plan.seconds / FEW_EVERY if is_slow else worth.waste > shape.most_waste
    )
    failed = {
        "goodput": worth.goodput < LEAST_GOODPUT,
        "waste": is_wasteful,
        "back": worth.back is not None and worth.back > LONGEST_BACK,
    }
    for other in rows:
        if (other.plan.shape, other.plan.policy) == (plan.shape, BASELINE):
            plain = other.score
            failed[f"goodput below {BASELINE}'s"] = (
                worth.goodput < plain.goodput - NOISE_GOODPUT
            )
            failed[f"waste above {BASELINE}'s"] = worth.waste > plain.waste + NOISE_WASTE
    return [what for what, is_missed in failed.items() if is_missed]


def as_line(row: Row) -> str:
    """One run for the terminal, as it ends."""
    shape, policy, *cells = _cells(row, ())
    told = "  ".join(f"{what} {cell}" for what, cell in zip(HEAD[2:], cells, strict=False))
    return f"{shape:<18} {policy:<18} {told}"


def as_text(rows: Sequence[Row]) -> str:
    """All runs in columns, then each policy over all shapes."""
    return f"{_columns(_runs(rows))}\n\n{_columns(_summary(rows))}"


def as_markdown(rows: Sequence[Row]) -> str:
    """The same as tables."""
    tables = []
    for head, *lines in (_runs(rows), _summary(rows)):
        rule = ["---", "---", *["---:"] * (len(head) - LEFT - 1), "---"]
        tables.append("\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)))
    return "\n\n".join(tables) + "\n"


def as_page(rows: Sequence[Row]) -> str:
    """The documentation's table: a line for each shape, for each policy what it made of it."""
    policies = list(dict.fromkeys(row.plan.policy for row in rows))
    lines = [["", *policies], ["---", *["---:"] * len(policies)]]
    for shape in dict.fromkeys(row.plan.shape for row in rows):
        found = {row.plan.policy: row for row in rows if row.plan.shape == shape}
        cells = [_brief(found[policy], rows) if policy in found else "" for policy in policies]
        lines.append([shape, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _brief(row: Row, rows: Sequence[Row]) -> str:
    worth = row.score
    back = "" if worth.back is None else f", {_back(worth.back)}"
    told = f"{worth.goodput:.2f}, {worth.waste:.1%}{back}"
    return told if missed(row, rows) else f"**{told}**"


def as_json(rows: Sequence[Row], where: Mapping[str, str], notes: Sequence[str]) -> str:
    """Everything that was measured; an incident that was never over is `"never"`."""
    told = [_finite(asdict(row)) | {"missed": missed(row, rows)} for row in rows]
    return json.dumps({"machine": dict(where), "runs": told, "notes": list(notes)}) + "\n"


def _columns(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < LEFT or place == len(line) - 1 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def _runs(rows: Sequence[Row]) -> list[list[str]]:
    return [[*HEAD, *MORE], *(_cells(row, rows) for row in rows)]


def _summary(rows: Sequence[Row]) -> list[list[str]]:
    """Each policy over all of its shapes; each shape weighs the same."""
    table = [
        ["policy", "shapes", "all met", "mean goodput", "least", "429s / calls", "missed most"]
    ]
    for policy in dict.fromkeys(row.plan.policy for row in rows):
        own = [row for row in rows if row.plan.policy == policy]
        goodputs = [row.score.goodput for row in own]
        refused, calls = (
            sum(getattr(row.score, of) for row in own) for of in ("refused", "calls")
        )
        failed = Counter(what for row in own for what in missed(row, rows))
        table.append(
            [
                policy,
                f"{len(own)}",
                f"{sum(not missed(row, rows) for row in own)}",
                f"{fmean(goodputs):.3f}",
                f"{min(goodputs):.3f}",
                f"{refused / max(1, calls):.2%}",
                ", ".join(f"{what} ({times})" for what, times in failed.most_common()),
            ]
        )
    return table


def _finite(told: dict[str, Any]) -> dict[str, Any]:
    if told["score"]["back"] == math.inf:
        told["score"]["back"] = "never"
    return told


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    worth = row.score
    failed = missed(row, rows)
    return [
        row.plan.shape,
        row.plan.policy,
        f"{worth.goodput:.3f}",
        f"{worth.overall:.3f}",
        f"{worth.calls}",
        f"{worth.refused}",
        f"{worth.later}",
        f"{worth.waste:.2%}",
        "-" if worth.stop is None else f"{worth.stop * 1000:.0f} ms",
        _back(worth.back),
        f"{row.commands:.3f}",
        f"**missed**: {', '.join(failed)}" if failed else "",
    ]


def _back(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "never" if seconds == math.inf else f"{seconds:.1f} s"
