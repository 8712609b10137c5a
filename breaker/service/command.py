"""`breaker serve`: the socket, the signals, the log."""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import uvicorn

from breaker.embedded import EmbeddedStore
from breaker.errors import ConfigurationError, StoreError, StoreUnavailable
from breaker.fleet import Fleet
from breaker.service.access import Tokens
from breaker.service.app import create_app
from breaker.store.target import DEFAULT_URL

try:
    import resource
except ImportError:  # not on this system
    resource = None  # type: ignore[assignment]

# Seconds that running requests may still take at the end. An orchestrator kills after ten.
GRACE = 3
DEFAULT_PORT = 8429
# Where a store that the service starts listens, so that the workers' URL outlives a restart.
OWN_PORT = 8430

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
@click.option(
    "--url", help="Where Redis or Valkey is. Default: BREAKER_URL, else a store is started."
)
@click.option("--prefix", help="Key prefix. Default: BREAKER_PREFIX, else breaker.")
@click.option(
    "--data",
    envvar="BREAKER_DATA",
    type=click.Path(file_okay=False, path_type=Path),
    help="Without a URL: where the store that is started keeps its data. "
    "Default: ~/.local/share/fleet-breaker.",
)
def serve(
    *, host: str, port: int, url: str | None, prefix: str | None, data: Path | None
) -> None:
    """Serve the API, the metrics and the events over HTTP until it is stopped.

    BREAKER_TOKEN is the token that may change things, BREAKER_READ_TOKEN the one that may look;
    BREAKER_TOKEN_FILE and BREAKER_READ_TOKEN_FILE name files that hold them. Without tokens, looking
    is free, and only programs of this machine may change things.

    Example: BREAKER_TOKEN=... breaker serve --host 0.0.0.0 --url redis://store:6379/0
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # When uvicorn is done it passes the signal on to the handler that was set before. An end by a
    # signal is not a failure.
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, _leave)
    with contextlib.ExitStack() as opened:
        try:
            listener = opened.enter_context(_listen(host, port))
            store = url or os.environ.get("BREAKER_URL") or opened.enter_context(_own(data))
            tokens = Tokens.from_environment(os.environ)
            app = create_app(store, prefix=prefix, tokens=tokens)
            _check(app.state.fleet)
        except (ConfigurationError, StoreError) as error:
            _refuse(str(error))
        except OSError as error:
            _refuse(f"cannot listen on {_address(host, port)}: {error.strerror or error}")
        _LOGGER.info(
            "serving http://%s, store %s",
            _address(host, listener.getsockname()[1]),
            app.state.fleet.target,
        )
        _allow_many_clients()
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def _own(data: Path | None) -> Iterator[str]:
    """Where the store is if no URL was given: the workers' default, else one that is started here.

    Raises:
        ConfigurationError: the data's folder cannot be used.
        StoreUnavailable: no store can be started.
    """
    fleet = Fleet(url=DEFAULT_URL)
    try:
        fleet.names()
    except StoreUnavailable:
        pass
    else:
        yield DEFAULT_URL
        return
    finally:
        fleet.close()
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = data or home / "fleet-breaker"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            [
                f"cannot use {folder} for the store's data: {error.strerror}; name another: --data"
            ]
        ) from None
    with EmbeddedStore(folder, OWN_PORT) as store:
        _LOGGER.info(
            "no URL was given, so a store was started; its data is in %s. For workers: "
            "export BREAKER_URL=%s",
            folder,
            store.url,
        )
        yield store.url


def _check(fleet: Fleet) -> None:
    """Refuse to start with what no restart would mend; wait for a store that is only away.

    Raises:
        StoreRefused: the password, a permission, the version.
    """
    try:
        fleet.probe()
    except StoreUnavailable as error:
        _LOGGER.warning("not ready yet: %s", error)


def _allow_many_clients() -> None:
    """Each waiting client holds a file open, and the usual limit is 1,024."""
    if resource is not None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


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
