"""`breaker demo`: a real fleet, without a breaker and then with it, against a real limit."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from breaker.demo.children import ChildFailedError
from breaker.demo.director import direct
from breaker.demo.live import LiveView
from breaker.demo.plain import PlainView
from breaker.demo.plan import ALLOWANCE, Plan
from breaker.demo.summary import problems, summary
from breaker.embedded import EmbeddedStore
from breaker.errors import BreakerError
from breaker.settings import OPTIONS, option_problems

INTERRUPTED = 130


Workers = Annotated[int, typer.Option(min=2, max=32, help="Worker processes.")]
Rate = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="Calls per second that the upstream allows.",
        show_default=f"{ALLOWANCE:g} for each worker",
    ),
]
Duration = Annotated[float, typer.Option(min=12, help="Seconds that the whole run takes.")]
Threshold = Annotated[
    int, typer.Option(min=1, help="Trip after so many 429s in a row, over the whole fleet.")
]
Cooldown = Annotated[
    float | None,
    typer.Option(
        min=0.5,
        help="Seconds that a trip pauses the queue; the upstream then sends no Retry-After.",
        show_default="as long as the upstream's Retry-After says",
    ),
]
Recovery = Annotated[
    str,
    typer.Option(
        help=f"{OPTIONS['recovery'].help.capitalize()}: {OPTIONS['recovery'].allowed}."
    ),
]
Without = Annotated[
    bool, typer.Option("--without", help="Show only the fleet without a breaker.")
]
Forever = Annotated[
    bool,
    typer.Option("--forever", help="Go on, with one shortage after another, until Ctrl-C."),
]
IsPlain = Annotated[
    bool, typer.Option("--plain", help="Write lines, as to a pipe, instead of the live view.")
]


def demo(
    *,
    workers: Workers = 4,
    rate: Rate = None,
    duration: Duration = 60,
    threshold: Threshold = OPTIONS["threshold"].default,
    cooldown: Cooldown = None,
    recovery: Recovery = OPTIONS["recovery"].default,
    without: Without = False,
    forever: Forever = False,
    plain: IsPlain = False,
) -> None:
    """Watch a fleet meet a rate limit: first without a breaker, then with it.

    Everything is real and on this machine: a Valkey server, an upstream that
    limits by a token bucket, and RQ workers that drain two queues. The jobs
    of `content` call the upstream, those of `other` do not. In each phase
    others spend the upstream's allowance for a while. At the end stands what
    the upstream and the queues have counted; the exit code is 1 if a job was
    lost or the breaker did not trip.
    """
    wrong = list(option_problems({"recovery": recovery}))
    if wrong:
        raise typer.BadParameter("; ".join(wrong), param_hint="--recovery")
    plan = Plan(
        workers=workers,
        rate=rate or workers * ALLOWANCE,
        duration=duration,
        threshold=threshold,
        cooldown=cooldown,
        recovery=recovery,
        only_without=without,
        is_endless=forever,
    )
    raise typer.Exit(run(plan, Console(), is_plain=plain))


def run(plan: Plan, console: Console, *, is_plain: bool) -> int:
    """Run the demo and return its exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        view = _view(plan, console, is_plain=is_plain)
        with _ended_by_signals(), EmbeddedStore() as store, view:
            outcomes = direct(plan, store.url.removesuffix("/0"), view)
    except KeyboardInterrupt:
        console.print("Stopped; nothing of it is left running.")
        return INTERRUPTED
    except (BreakerError, ChildFailedError) as error:
        errors.print(f"The demo failed: {error}", markup=False)
        return 1
    console.print(summary(outcomes))
    wrong = [problem for outcome in outcomes for problem in problems(outcome)]
    for problem in wrong:
        errors.print(f"Not as it should be: {problem}.", markup=False)
    return 1 if wrong else 0


def _view(plan: Plan, console: Console, *, is_plain: bool) -> LiveView | PlainView:
    can_draw = console.is_terminal and console.encoding.startswith("utf")
    return PlainView(console) if is_plain or not can_draw else LiveView(plan, console)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End in order also when asked to, when the terminal has gone, and in the background.

    There a shell lets its processes ignore Ctrl-C. One that ignores the end of its terminal was
    told so on purpose.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _leave}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = _leave
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
