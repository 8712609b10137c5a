"""Jobs for the workers of these tests, and a worker that forks for each of them."""

import sys

import redis
from rq import Worker, get_current_job

from breaker import Breaker
from breaker.demo.rq_worker import BreakerMixin


class Limited(Exception):
    status_code = 429


def limited_at_first():
    """Rate limited as often as the key `limited` says, by all jobs together."""
    if get_current_job().connection.decr("limited") >= 0:
        raise Limited


def broken():
    raise RuntimeError


class ForkingWorker(BreakerMixin, Worker):
    pass


if __name__ == "__main__":
    url = sys.argv[1]
    breakers = {"content": Breaker("content", url=url)}
    connection = redis.Redis.from_url(url)
    ForkingWorker(["content"], connection=connection, breakers=breakers).work()
