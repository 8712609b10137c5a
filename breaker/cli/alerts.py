"""`breaker alerts`: which channels there are, whether they work, and what was not told yet."""

import click
from rich.text import Text

from breaker.cli import as_json, show
from breaker.cli.exits import Exit
from breaker.cli.options import command, json_option
from breaker.cli.session import Session


@click.group("alerts")
def alerts() -> None:
    """Send a test alert through each channel; show what is under way.

    BREAKER_ALERTS names the channels of the workers and of `breaker serve`.

    Example: BREAKER_ALERTS=slack+https://hooks.slack.com/... breaker alerts test
    """


@alerts.command("test")
@json_option
def test(*, json: bool) -> None:
    """Send a test alert through each channel, and say what came back.

    Exits with code 1 if a channel did not take it.

    Example: BREAKER_ALERTS=sentry,log breaker alerts test
    """
    from breaker.alerts import chosen, trial  # noqa: PLC0415 - the help does not need them

    chosen.serve()
    outcomes = trial.send_through(chosen.channels())
    if json:
        show.lines([Text(as_json.pretty(outcomes))])
    elif not outcomes:
        show.note(
            "no channel but the log: set BREAKER_ALERTS (sentry, slack+https://..., https://..., "
            "command:/path), or SENTRY_DSN"
        )
    else:
        show.lines(
            [Text(f"{channel}: {said or 'delivered'}") for channel, said in outcomes.items()]
        )
    if any(outcomes.values()):
        raise click.exceptions.Exit(Exit.FAILED)


@command("status")
@json_option
def status(session: Session, *, json: bool) -> None:
    """Show how many entries of the history are under way on each channel of each breaker.

    Example: breaker alerts status
    """
    found = dict(session.fleet.alerts_under_way())
    if json:
        show.lines([Text(as_json.pretty(found))])
        return
    lines = [
        Text(f"{name}: {channel}: {count or 'nothing'} under way")
        for name, channels in found.items()
        for channel, count in sorted(channels.items())
    ]
    show.lines(lines or [Text("nothing has been told yet")])


alerts.add_command(status)
