"""The application: its state, and the list of its routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware

from breaker.metrics import Collector
from breaker.protocol.keys import PREFIX
from breaker.service.head import HeadLikeGet
from breaker.service.routes import health, metrics


def create_app(url: str | None = None, *, redis: Any = None, prefix: str = PREFIX) -> FastAPI:
    """Make the application. It sends no command to the store before the first request.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: the key prefix.

    Raises:
        ConfigurationError: with every problem.
    """
    collector = Collector(url, redis=redis, prefix=prefix)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        collector.close()

    # The pages at /docs would load their scripts from another site.
    app = FastAPI(title="fleet-breaker", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.fleet = collector.fleet
    app.state.registry = CollectorRegistry()
    app.state.registry.register(collector)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(HeadLikeGet)
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app
