"""Jobs for the workers of these tests, and a worker that forks for each of them."""

import sys

import redis
from rq import Worker, get_current_job

from breaker.integrations.rq import BreakerMixin


class Limited(Exception):
    status_code = 429


def limited_at_first():
    """Rate limited as often as the key `limited` says, by all jobs together."""
    if get_current_job().connection.decr("limited") >= 0:
        raise Limited


def broken():
    raise RuntimeError


class ForkingWorker(BreakerMixin, Worker):
    breaker_queues = ("content",)
    breaker_options = {"url": sys.argv[-1]}  # noqa: RUF012 - as a user writes it


if __name__ == "__main__":
    url = sys.argv[1]
    connection = redis.Redis.from_url(url)
    ForkingWorker(["content"], connection=connection).work()
