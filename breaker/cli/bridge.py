"""`breaker bridge`: guard the queues of another framework from beside its workers."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from breaker.cli.options import prefix_option, url_option
from breaker.errors import ConfigurationError

if TYPE_CHECKING:
    from breaker.integrations.bullmq import Bridge


@click.group("bridge")
def bridge() -> None:
    """Guard the queues of workers that know nothing of breakers: BullMQ's, in Node."""


@bridge.command("bullmq")
@click.argument("queues", nargs=-1, metavar="QUEUE[=BREAKER]...")
@click.option(
    "--broker",
    envvar="BREAKER_BROKER",
    default="redis://localhost:6379/0",
    show_default=True,
    metavar="URL",
    help="BullMQ's Redis. Default: BREAKER_BROKER.",
)
@click.option("--bull-prefix", default="bull", show_default=True, help="BullMQ's prefix.")
@click.option(
    "--stop",
    type=click.Choice(["pause", "limiter"]),
    default="pause",
    show_default=True,
    help="pause: as queue.pause(). limiter: by a TTL that ends without a bridge too.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="When the queue resumes, retry the jobs that rate limits failed for good.",
)
@click.option("--once", is_flag=True, help="Complete what a dead bridge left, and end.")
@click.option(
    "--check", is_flag=True, help="Say whether a bridge leads for each queue: exit code 0 or 1."
)
@click.option(
    "--metrics", type=int, metavar="PORT", help="Serve the lag and other metrics on this port."
)
@url_option
@prefix_option
def bullmq(
    *,
    queues: tuple[str, ...],
    once: bool,
    check: bool,
    metrics: int | None,
    url: str | None,
    prefix: str | None,
    **options: Any,
) -> None:
    """Pause, pace and resume BullMQ queues as their breakers say, until it is stopped.

    The workers, in Node or any other language, stay as they are. Several bridges may run: one
    leads for each queue, another takes over within 3 s.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    from breaker.integrations.bullmq import Bridge  # noqa: PLC0415 - an extra

    if prefix is not None:
        options["prefix"] = prefix
    made = Bridge(_pairs(queues), url=url, **options)
    if check:
        problems = asyncio.run(made.problems())
        for problem in problems:
            click.echo(problem, err=True)
        raise click.exceptions.Exit(bool(problems))
    if once:
        raise click.exceptions.Exit(not asyncio.run(made.once()))
    if metrics is not None:
        _serve(made, metrics)
    asyncio.run(_until_stopped(made))


def _pairs(queues: tuple[str, ...]) -> Mapping[str, str] | None:
    pairs = [word.partition("=") for word in queues]
    if bad := ["".join(pair) for pair in pairs if not pair[0] or (pair[1] and not pair[2])]:
        raise ConfigurationError([f"{word!r} is not QUEUE or QUEUE=BREAKER" for word in bad])
    return {queue: name or queue for queue, _, name in pairs} or None


async def _until_stopped(made: "Bridge") -> None:
    task = asyncio.ensure_future(made.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _serve(made: "Bridge", port: int) -> None:
    from prometheus_client import REGISTRY, start_http_server  # noqa: PLC0415 - an extra

    from breaker.integrations.bullmq.metrics import Lags  # noqa: PLC0415 - an extra
    from breaker.metrics import WorkerCollector  # noqa: PLC0415 - an extra

    REGISTRY.register(Lags(made))
    REGISTRY.register(WorkerCollector())
    start_http_server(port)
