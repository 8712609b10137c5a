"""`breaker status`: what is paused, why, until when and by whom; or all about one breaker."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from breaker.cli import as_json, show
from breaker.cli.exits import Exit
from breaker.cli.options import AsJson, Name, command
from breaker.cli.report import Report
from breaker.cli.session import Session
from breaker.cli.table import in_order, overview


@command
def status(
    session: Session,
    *,
    name: Name = None,
    json: AsJson = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit with code 3 if the breaker (without NAME: any breaker) is paused.",
        ),
    ] = False,
) -> None:
    """Show what is paused; with a NAME, all about one breaker."""
    if name is None:
        found = in_order(session.statuses())
        answer: Any = [asdict(one) for one in found]
        lines = overview(session, found)
    else:
        report = Report.on(session, name)
        found = [report.status]
        answer = report.plain()
        lines = list(report.lines(session))
    show.lines([Text(as_json.pretty(answer))] if json else lines)
    if check and any(one.is_paused for one in found):
        raise typer.Exit(Exit.PAUSED)
