"""Run every policy against every shape: `python -m benchmarks.recovery`."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import groupby
from multiprocessing import resource_tracker
from pathlib import Path

import redis

from benchmarks.recovery import picture, report
from benchmarks.recovery.policies import POLICIES
from benchmarks.recovery.run import Gang, Interrupted, Outcome, Plan, forget
from benchmarks.recovery.shapes import LONGER, SHAPES
from benchmarks.report import PAGE, machine, write_page
from breaker.embedded import EmbeddedStore
from breaker.errors import BreakerError

# Seconds that processes take to start and to end, beside the run itself.
AROUND = 4.0
LEFT_EARLY = 130


def main() -> int:
    """Run all, print each as it ends, write table, JSON and pictures; 1 if not all could run."""
    given = _arguments()
    logging.getLogger("breaker").setLevel(logging.CRITICAL)
    plans, notes = _plans(given)
    batches = _batches(plans, given.together)
    minutes = sum(batch[0].seconds + AROUND for batch in batches) / 60
    _say(f"{len(plans)} runs, {given.together} at a time: about {minutes:.0f} minutes")
    for note in notes:
        _say(note)
    rows: list[report.Row] = []
    is_complete = False
    with ExitStack() as stack:
        # Each slot has a store of its own: a store counts its commands for all of its databases.
        stores = [stack.enter_context(EmbeddedStore()) for _ in range(given.together)]
        clients = [stack.enter_context(redis.Redis.from_url(store.url)) for store in stores]
        where = machine(clients[0])
        try:
            for batch in batches:
                for client in clients:
                    forget(client)
                for outcome in _together(batch, [store.url for store in stores]):
                    rows.append(report.judged(outcome))
                    _say(report.as_line(rows[-1]))
            is_complete = True
        except KeyboardInterrupt:
            notes.append("not complete: interrupted")
        except EOFError:
            notes.append("not complete: a process of the benchmark ended early")
        except (OSError, redis.RedisError, BreakerError) as error:
            notes.append(f"not complete: {type(error).__name__}: {error}")
    _write(given, rows, where, notes)
    return 0 if is_complete else LEFT_EARLY if "interrupted" in notes[-1] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    names = ",".join(shape.name for shape in SHAPES)
    parser.add_argument("--shapes", default=names, help=f"of {names}")
    parser.add_argument(
        "--policies", default=",".join(POLICIES), help=f"of {','.join(POLICIES)}"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="of a run (60); an incident's takes three times as long",
    )
    parser.add_argument("--rate", type=float, default=100.0, help="calls/s allowed (100)")
    parser.add_argument("--cooldown", type=float, default=10.0, help="of the breakers (10)")
    parser.add_argument("--workers", type=int, default=8, help="processes of a fleet (8)")
    parser.add_argument("--threads", type=int, default=4, help="of each process (4)")
    parser.add_argument("--together", type=int, default=4, help="runs at the same time (4)")
    parser.add_argument("--json", type=Path, default=Path("build/bench-recovery.json"))
    parser.add_argument(
        "--page", action="store_true", help=f"write table and picture of {PAGE}"
    )
    given = parser.parse_args()
    for option, known in (("shapes", names.split(",")), ("policies", list(POLICIES))):
        wanted = getattr(given, option).split(",")
        if strange := set(wanted) - set(known):
            parser.error(f"--{option}: there is no {', '.join(sorted(strange))}")
        setattr(given, option, wanted)
    return given


def _plans(given: argparse.Namespace) -> tuple[list[Plan], list[str]]:
    """Shape by shape, so that the policies of a shape meet the same state of the machine."""
    here = [name for name in given.policies if POLICIES[name].is_here]
    notes = [
        f"{name} is not installed: left out" for name in given.policies if name not in here
    ]
    rest = (given.cooldown, given.workers, given.threads)
    times = {shape.name: shape.times for shape in SHAPES}
    plans = [
        Plan(shape, policy, given.rate, given.seconds * times[shape], *rest)
        for shape in given.shapes
        for policy in here
    ]
    return plans, notes


def _batches(plans: Sequence[Plan], size: int) -> list[list[Plan]]:
    """Those that run together last as long."""
    batches = []
    for _, equal in groupby(plans, key=lambda plan: plan.seconds):
        rest = list(equal)
        batches += [rest[at : at + size] for at in range(0, len(rest), size)]
    return batches


def _together(plans: Sequence[Plan], urls: Sequence[str]) -> Iterator[Outcome]:
    stop = threading.Event()
    gang = Gang(len(plans), stop)
    with ThreadPoolExecutor(len(plans), initializer=_no_ctrl_c) as pool:
        running = [
            pool.submit(gang.run, plan, url) for plan, url in zip(plans, urls, strict=False)
        ]
        try:
            errors = [error for run in running if (error := run.exception())]
        except BaseException:
            stop.set()
            raise
    # Those that were broken off by another's failure are no news.
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        raise error
    yield from (run.result() for run in running)


def _no_ctrl_c() -> None:
    """Ctrl-C is the main thread's; the processes started from here are born deaf to it."""
    resource_tracker.ensure_running()  # as the first process starts it, it would unblock again
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _write(
    given: argparse.Namespace,
    rows: Sequence[report.Row],
    where: dict[str, str],
    notes: list[str],
) -> None:
    given.json.parent.mkdir(parents=True, exist_ok=True)
    notes += picture.draw(rows, given.json.with_suffix(".png"))
    if given.page:
        notes += picture.draw_small(rows, PAGE.with_name("recovery.svg"))
        write_page(_for_page(given, rows, where), "recovery")
    given.json.write_text(report.as_json(rows, where, notes), encoding="utf-8")
    given.json.with_suffix(".md").write_text(report.as_markdown(rows), encoding="utf-8")
    _say("", report.as_text(rows), "", *notes)


def _for_page(
    given: argparse.Namespace, rows: Sequence[report.Row], where: dict[str, str]
) -> str:
    fleet = f"{given.workers} processes of {given.threads} threads"
    run = (
        f"{given.seconds:g} s for each ({given.seconds * LONGER:g} for `incident` and `outage`), "
        f"{given.rate:g} calls/s allowed"
    )
    return (
        "![calls, 200s and 429s per second, without a breaker, with a plain one, and paced]"
        "(recovery.svg)\n\n"
        f"Measured by `make bench-recovery`: real HTTP, {fleet}, {run}, cooldown "
        f"{given.cooldown:g} s, {given.together} runs at a time on {where['cpus']} processors. "
        "Goodput (200s as a share of what was allowed after the first pause), waste (429s as a "
        "share of all calls) and, after an incident, the time until 95 % of the allowance was "
        "used again; bold where all targets are met (goodput 0.95, waste 1 %, 15 s, not worse "
        f"than `plain`).\n\n{report.as_page(rows)}"
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
