"""A store for each test: RQ's keys are the same for everybody, and so must not be shared."""

import pytest
import redis

from breaker.embedded import EmbeddedStore


@pytest.fixture
def store():
    with EmbeddedStore() as store:
        yield store


@pytest.fixture
def connection(store):
    with redis.Redis.from_url(store.url) as connection:
        yield connection
