"""Run all measures against a server of its own: `python -m benchmarks`."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import redis

from benchmarks import (
    commands,
    deadlines,
    many,
    memory,
    overhead,
    peers,
    reaction,
    report,
    server_cost,
    throughput,
)
from benchmarks.figures import Figure
from breaker.embedded import EmbeddedStore

# Seconds for everything: whatever hangs, the run ends.
LONGEST = 300


class OutOfTime(BaseException):
    """The whole run has lasted long enough."""


def main() -> int:
    """Measure, print each figure as it comes, write the JSON; 1 if there was no time for all."""
    given = _arguments()
    notes: list[str] = []
    measures: dict[str, Callable[[str], Iterator[Figure]]] = {
        "overhead": overhead.measure,
        "commands": commands.measure,
        "deadlines": deadlines.measure,
        "throughput": throughput.measure,
        "reaction": reaction.measure,
        "server": server_cost.measure,
        "memory": memory.measure,
        "many": many.measure,
        "peers": partial(peers.measure, notes=notes),
    }
    wanted = given.only or list(measures)
    logging.getLogger("breaker").setLevel(logging.ERROR)  # trips are meant here, not news
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(LONGEST)
    began = time.monotonic()
    figures: list[Figure] = []
    with EmbeddedStore() as store, redis.Redis.from_url(store.url) as client:
        where = report.machine(client)
        _say(", ".join(f"{name} {value}" for name, value in where.items()))
        if float(where["load"]) > float(where["cpus"]) / 2:
            notes.append(
                f"a busy machine (load {where['load']}): times say little, counts hold"
            )
        try:
            for name in wanted:
                for figure in measures[name](store.url):
                    figures.append(figure)
                    _say(report.as_line(figure))
        except (OutOfTime, TimeoutError) as error:
            notes.append(f"not complete: {error}")
        finally:
            signal.alarm(0)
    for note in notes:
        _say(note)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(report.as_json(figures, where, notes), encoding="utf-8")
    is_complete = not any(note.startswith("not complete") for note in notes)
    if given.page and is_complete:
        report.write_page(report.as_table(figures, where), "bench")
    missed = [figure.what for figure in figures if figure.is_met is False]
    _say(f"{time.monotonic() - began:.0f} s; targets missed: {', '.join(missed) or 'none'}")
    return 0 if is_complete else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument(
        "--page", action="store_true", help=f"write the table into {report.PAGE}"
    )
    parser.add_argument("only", nargs="*", help="the measures to run (default: all)")
    return parser.parse_args()


def _out_of_time(*_: object) -> None:
    message = f"the benchmark took longer than {LONGEST} s"
    raise OutOfTime(message)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
