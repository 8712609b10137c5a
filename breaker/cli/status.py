"""`breaker status`: what is paused, why, until when and by whom; or all about one breaker."""

from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from breaker.cli import as_json, show
from breaker.cli.exits import Exit
from breaker.cli.names import UnknownBreaker
from breaker.cli.options import command, json_option, some_argument
from breaker.cli.session import Session
from breaker.cli.table import in_order, overview, sort_option
from breaker.cli.targets import is_pattern


@command("status")
@some_argument
@sort_option
@json_option
@click.option(
    "--check",
    is_flag=True,
    help="Exit with code 3 if the breaker (without NAME, or with a pattern: any of them) is paused.",
)
def status(session: Session, *, name: str | None, sort: str, json: bool, check: bool) -> None:
    """Show what is paused; with a NAME, all about one breaker.

    Examples: breaker status content; breaker status 'together:*' --sort trips
    """
    if name is None or is_pattern(session, name):
        found = in_order(session.statuses(), sort, name)
        if name is not None and not found:
            raise UnknownBreaker(name, session.fleet.names())
        answer: Any = [asdict(one) for one in found]
        lines = overview(session, found)
    else:
        from breaker.cli.report import Report  # noqa: PLC0415 - only for one breaker

        report = Report.on(session, name)
        found = [report.status]
        answer = report.plain()
        lines = list(report.lines(session))
    show.lines([Text(as_json.pretty(answer))] if json else lines)
    if check and any(one.is_paused for one in found):
        raise click.exceptions.Exit(Exit.PAUSED)
