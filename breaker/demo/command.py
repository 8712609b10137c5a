"""`breaker demo`: a real fleet, without a breaker and then with it, against a real limit."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console

from breaker.demo.children import ChildFailedError
from breaker.demo.director import direct
from breaker.demo.frameworks import NAMES, check
from breaker.demo.live import LiveView
from breaker.demo.plain import PlainView
from breaker.demo.plan import ALLOWANCE, EVERY, Plan
from breaker.demo.summary import problems, summary
from breaker.embedded import EmbeddedStore
from breaker.errors import BreakerError
from breaker.settings import OPTIONS, option_problems

INTERRUPTED = 130


@click.command("demo")
@click.option(
    "--workers",
    type=click.IntRange(2, 32),
    default=4,
    show_default=True,
    help="Worker processes.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1),
    show_default=f"{ALLOWANCE:g} for each worker",
    help="Calls per second that the upstream allows.",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=12),
    default=60.0,
    show_default=True,
    help="Seconds that the whole run takes.",
)
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    default=OPTIONS["threshold"].default,
    show_default=True,
    help="429s in a row, over the whole fleet, that trip the breaker.",
)
@click.option(
    "--cooldown",
    type=click.FloatRange(min=0.5),
    show_default="as long as the upstream's Retry-After says",
    help="Seconds that a trip pauses the queue; the upstream then sends no Retry-After.",
)
@click.option(
    "--recovery",
    default=OPTIONS["recovery"].default,
    show_default=True,
    help=f"{OPTIONS['recovery'].help.capitalize()}: {OPTIONS['recovery'].allowed}.",
)
@click.option(
    "--framework",
    type=click.Choice(NAMES),
    default="rq",
    show_default=True,
    help="Whose workers drain the queues.",
)
@click.option("--without", is_flag=True, help="Show only the fleet without a breaker.")
@click.option(
    "--forever",
    is_flag=True,
    help=f"Run until Ctrl-C, with a new rate limit every {EVERY:g} s.",
)
@click.option(
    "--plain", is_flag=True, help="Write lines, as to a pipe, instead of the live view."
)
def demo(
    *,
    workers: int,
    rate: float | None,
    duration: float,
    threshold: int,
    cooldown: float | None,
    recovery: str,
    framework: str,
    without: bool,
    forever: bool,
    plain: bool,
) -> None:
    """Watch a fleet meet a rate limit: first without a breaker, then with it.

    Everything is real and on this machine: a Valkey server, an upstream that
    limits by a token bucket, and a framework's workers that drain two
    queues. The jobs of `content` call the upstream, those of `other` do not. In each phase
    other clients use up the upstream's allowance for a while. At the end it
    prints what the upstream and the queues counted. Exit code 1: a job was
    lost, or the breaker did not trip.

    Example: breaker demo --framework celery
    """
    wrong = list(option_problems({"recovery": recovery}))
    if wrong:
        raise click.BadParameter("; ".join(wrong), param_hint="--recovery")
    try:
        check(framework)
    except ImportError as error:
        raise click.BadParameter(str(error), param_hint="--framework") from error
    plan = Plan(
        workers=workers,
        rate=rate or workers * ALLOWANCE,
        duration=duration,
        threshold=threshold,
        cooldown=cooldown,
        recovery=recovery,
        only_without=without,
        is_endless=forever,
        framework=framework,
    )
    raise click.exceptions.Exit(run(plan, Console(), is_plain=plain))


def run(plan: Plan, console: Console, *, is_plain: bool) -> int:
    """Run the demo and return its exit code."""
    errors = Console(stderr=True, highlight=False)
    try:
        view = _view(plan, console, is_plain=is_plain)
        with _ended_by_signals(), EmbeddedStore() as store, view:
            outcomes = direct(plan, store.url.removesuffix("/0"), view)
    except KeyboardInterrupt:
        console.print("Stopped; all of its processes have ended.")
        return INTERRUPTED
    except (BreakerError, ChildFailedError) as error:
        errors.print(f"The demo failed: {error}", markup=False)
        return 1
    console.print(summary(outcomes))
    wrong = [problem for outcome in outcomes for problem in problems(outcome)]
    for problem in wrong:
        errors.print(f"Something went wrong: {problem}.", markup=False)
    return 1 if wrong else 0


def _view(plan: Plan, console: Console, *, is_plain: bool) -> LiveView | PlainView:
    can_draw = console.is_terminal and console.encoding.startswith("utf")
    return PlainView(console) if is_plain or not can_draw else LiveView(plan, console)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End all processes in order on SIGTERM, on the loss of the terminal, and in the background.

    In the background a shell lets its processes ignore Ctrl-C. A process that ignores the loss of
    its terminal (nohup) was started to do so.
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
