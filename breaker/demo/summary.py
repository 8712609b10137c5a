"""The summary at the end, and the problems that make the demo fail."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from breaker.demo.ledger import RETRIES
from breaker.demo.picture import Outcome
from breaker.pacing import as_text


def summary(outcomes: Sequence[Outcome]) -> RenderableType:
    """The counts of the phases side by side, then what they mean."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("counted by the upstream and by the queue", no_wrap=True)
    for outcome in outcomes:
        table.add_column(outcome.phase.title, justify="right", no_wrap=True)
    for label, *cells in zip(
        LABELS, *(list(_cells(outcome)) for outcome in outcomes), strict=True
    ):
        table.add_row(label, *cells)
    return Group(Text(), table, Text(), *(Text(line) for line in sentences(outcomes)))


LABELS = (
    "calls made",
    "  answered",
    "  429, wasted",
    "jobs of content, enqueued",
    "  done",
    "  waiting, safe in the queue",
    f"  failed, {RETRIES} retries spent on 429s",
    "  lost",
    "jobs of other, done of enqueued",
)


def _cells(outcome: Outcome) -> Iterator[str]:
    calls, content, other = outcome.calls, outcome.content, outcome.other
    share = calls.limited / calls.calls if calls.calls else 0.0
    yield f"{calls.calls:,}"
    yield f"{calls.answered:,}"
    yield f"{calls.limited:,} ({share:.1%})"
    yield f"{content.enqueued:,}"
    yield f"{content.done:,}"
    yield f"{content.waiting:,}"
    yield f"{content.failed:,}"
    yield f"{content.lost:,}"
    yield f"{other.done:,} of {other.enqueued:,}"


def sentences(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The meaning of the counts, in sentences."""
    for outcome in outcomes:
        if outcome.trips:
            first, count = outcome.trips[0], len(outcome.trips)
            times = "once," if count == 1 else f"{count} times, first"
            yield (
                f"The breaker tripped {times} by {first.by} after {first.errors} rate limit "
                f"errors in a row. While content was paused: {outcome.calls_while_paused} calls "
                f"made, {outcome.other_while_paused} jobs of other done."
            )
            yield from _recovery(outcome)
    if len(outcomes) > 1 and not outcomes[-1].phase.is_endless:
        without, with_breaker = (outcome.calls.limited for outcome in outcomes)
        yield (
            f"The same shortage cost the same fleet {without:,} wasted calls without the "
            f"breaker, and {with_breaker:,} with it."
        )


def _recovery(outcome: Outcome) -> Iterator[str]:
    """How the queue resumed after the first trip."""
    steps = list(outcome.transitions)
    after = steps[steps.index(outcome.trips[0]) + 1 :]
    resumed = next((step for step in after if step.event in ("half-open", "closed")), None)
    if resumed is None:
        return
    closed = next((step for step in after if step.event == "closed"), None)
    pause = (resumed.at - outcome.trips[0].at).total_seconds()
    pace = (
        "" if outcome.pace is None else f" at a pace, {as_text(outcome.pace)} jobs/s at first"
    )
    end = "was still recovering at the end"
    if closed:
        took = (closed.at - resumed.at).total_seconds()
        end = "was closed at once" if took < 1 else f"was closed {took:.0f} s later"
    cost = outcome.limited_while_recovering
    wasted = f"{cost:,} more {'call' if cost == 1 else 'calls'} wasted on the way"
    yield f"It resumed by itself after {pause:.0f} s{pace}, and {end}; {wasted}."


def problems(outcome: Outcome) -> Iterator[str]:
    """Yield what went wrong."""
    for name, tally in (("content", outcome.content), ("other", outcome.other)):
        if tally.lost:
            yield f"jobs of {name} lost {outcome.phase.title}: {tally.lost}"
    again = outcome.calls.answered - outcome.calls.jobs
    if again:
        yield f"calls for jobs that were already done {outcome.phase.title}: {again}"
    if outcome.phase.has_breaker:
        if outcome.content.failed:
            yield f"jobs that failed although the breaker was there: {outcome.content.failed}"
        # An endless phase may have been ended before anything happened.
        if not outcome.phase.is_endless:
            yield from _problems_of_the_breaker({step.event for step in outcome.transitions})


def _problems_of_the_breaker(events: set[str]) -> Iterator[str]:
    if "tripped" not in events:
        yield "the breaker did not trip"
    elif not events & {"half-open", "closed"}:
        yield "the queue did not resume"
