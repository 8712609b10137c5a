"""The application: its state, and the list of its routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware

from breaker.alerts import chosen
from breaker.metrics import Collector
from breaker.service import problems
from breaker.service.access import Access, Tokens
from breaker.service.board import Board
from breaker.service.doors import Doors
from breaker.service.feed import Feed
from breaker.service.head import HeadLikeGet
from breaker.service.overview import Overview
from breaker.service.routes import breakers, events, health, metrics, page
from breaker.service.session import Sessions
from breaker.service.sweep import Sweep

ABOUT = """Circuit breakers of queues: what is paused, why, until when; reports and orders."""


def create_app(
    url: str | None = None,
    *,
    redis: Any = None,
    prefix: str | None = None,
    tokens: Tokens | None = None,
) -> FastAPI:
    """Make the application. It sends no command to the store before the first request.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: the key prefix (default: BREAKER_PREFIX, else "breaker").
        tokens: what callers must show; None: looking is free, and changing from this machine.

    Raises:
        ConfigurationError: with every problem.
    """
    chosen.serve()
    collector = Collector(url, redis=redis, prefix=prefix)
    sweep = Sweep(collector.fleet)
    board, feed = Board(collector.fleet), Feed(collector.fleet)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweep.start()
        yield
        sweep.stop()
        feed.end()
        await board.close()
        collector.close()

    # The pages at /docs would load their scripts from another site.
    app = FastAPI(
        title="fleet-breaker",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # routes.health has it, behind the token that may look
        lifespan=lifespan,
    )
    app.state.fleet = collector.fleet
    app.state.registry = CollectorRegistry()
    app.state.registry.register(collector)
    app.state.access = Access(tokens or Tokens())
    app.state.sessions = Sessions(tokens or Tokens())
    app.state.overview = Overview(collector.fleet)
    app.state.board = board
    app.state.feed = feed
    problems.install(app)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(HeadLikeGet)
    app.add_middleware(Doors)
    for module in (health, metrics, breakers, events, page):
        app.include_router(module.router)
    return app
