"""The results as JSON, as text, and as a table of the documentation."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import redis

from benchmarks.figures import Figure

# The page that the benchmarks write their tables into.
PAGE = Path("docs/benchmarks.md")
# Measures that the page shows although there is no target for them.
COMPARED = ("peers",)
_DECIMALS = {"x": 3, "ms": 2, "us": 2, "commands/job": 2, "s": 1}


def machine(client: redis.Redis) -> dict[str, str]:
    """Where it was measured, as far as that helps to judge the figures."""
    server: Any = client.info("server")
    name = server.get("server_name", "redis")
    return {
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "redis-py": redis.__version__,
        "server": f"{name} {server.get('valkey_version', server['redis_version'])}",
        "system": f"{platform.system()} {platform.machine()}",
    }


def as_json(figures: Sequence[Figure], where: Mapping[str, str], notes: Iterable[str]) -> str:
    """Everything that was measured."""
    rows = [asdict(figure) | {"is_met": figure.is_met} for figure in figures]
    told = {"machine": dict(where), "figures": rows, "notes": list(notes)}
    return json.dumps(told, indent=2) + "\n"


def as_line(figure: Figure) -> str:
    """One figure for the terminal."""
    ratios = "".join(f"  = {ratio:.3g} x {name}" for name, ratio in figure.ratios.items())
    verdict = _verdict(figure)
    spread = f"{_number(figure.low, figure)}..{_number(figure.high, figure)}"
    value = f"{_number(figure.value, figure)} {figure.unit}"
    told = f"{figure.measure:<11} {figure.what:<62} {value:>20}  ({figure.how}, {spread})"
    return told + ratios + (f"  [{verdict}]" if verdict else "")


def as_table(figures: Sequence[Figure], where: Mapping[str, str]) -> str:
    """The figures for the documentation, in Markdown."""
    place = (
        f"{where['cpus']} processors shared with all that is measured, load {where['load']} at "
        f"the start, Python {where['python']}, {where['server']} on the loopback"
    )
    lines = [
        f"Measured by `make bench` in one run ({place}):",
        "",
        "| | measured | min..max | compared | target |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for figure in figures:
        if figure.target is None and figure.measure not in COMPARED:
            continue  # the JSON has it
        spread = f"{_number(figure.low, figure)}..{_number(figure.high, figure)}"
        ratios = ", ".join(f"{ratio:.3g} x {name}" for name, ratio in figure.ratios.items())
        what = f"{figure.measure}: {figure.what} ({figure.how})"
        value = f"{_number(figure.value, figure)} {figure.unit}"
        lines.append(f"| {what} | {value} | {spread} | {ratios} | {_verdict(figure)} |")
    return "\n".join(lines)


def write_page(table: str, mark: str, page: Path = PAGE) -> None:
    """Replace what is between the markers of that name.

    Raises:
        ValueError: the markers are not there.
    """
    first, last = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        message = f"{page.name} has no {first} ... {last}"
        raise ValueError(message)
    page.write_text(f"{before}{first}\n\n{table}\n\n{last}{after}", encoding="utf-8")


def _verdict(figure: Figure) -> str:
    if figure.target is None:
        return ""
    sign = "at least" if figure.target.is_least else "at most"
    verdict = "met" if figure.is_met else "**missed**"
    return f"{sign} {figure.target.limit:g}: {verdict}"


def _number(value: float, figure: Figure) -> str:
    return f"{value:,.{_DECIMALS.get(figure.unit, 0)}f}"
