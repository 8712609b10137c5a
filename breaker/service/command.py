"""`breaker serve`: the socket, the signals, the log."""

import logging
import signal
import socket
from typing import Any, NoReturn

import click
import uvicorn

from breaker.errors import ConfigurationError
from breaker.protocol.keys import PREFIX
from breaker.service.app import create_app

# Seconds that running requests may still take at the end. An orchestrator kills after ten.
GRACE = 3
DEFAULT_PORT = 8429

_LOGGER = logging.getLogger("breaker")


class Port(click.IntRange):
    """A port; one that Kubernetes has set for a Service of that name is passed over.

    In every pod beside a Service called "breaker-serve" it sets BREAKER_SERVE_PORT=tcp://... For
    the same reason BREAKER_PORT and BREAKER_SERVICE_PORT are not read at all.
    """

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the number."""
        is_link = isinstance(value, str) and value.startswith("tcp://")
        number: int = super().convert(DEFAULT_PORT if is_link else value, param, ctx)
        return number


@click.command("serve")
@click.option(
    "--host",
    envvar="BREAKER_SERVE_HOST",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on.",
)
@click.option(
    "--port",
    envvar="BREAKER_SERVE_PORT",
    type=Port(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option("--url", help="Where Redis or Valkey is. Default: BREAKER_URL.")
@click.option("--prefix", default=PREFIX, show_default=True, help="Key prefix.")
def serve(*, host: str, port: int, url: str | None, prefix: str) -> None:
    """Serve /metrics, /healthz and /readyz over HTTP until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # When uvicorn is done it passes the signal on to the handler that was set before. An end by a
    # signal is not a failure.
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, _leave)
    try:
        app = create_app(url, prefix=prefix)
        listener = _listen(host, port)
    except ConfigurationError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"cannot listen on {_address(host, port)}: {error.strerror or error}")
    with listener:
        _LOGGER.info(
            "serving http://%s, store %s",
            _address(host, listener.getsockname()[1]),
            app.state.fleet.target,
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refuse(message: str) -> NoReturn:
    click.echo(f"breaker serve: {message}", err=True)
    raise click.exceptions.Exit(2)


def _leave(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
