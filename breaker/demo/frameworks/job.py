"""What the jobs of all frameworks do, and what they write down."""

import redis

from breaker.demo.jobs import call_upstream, other_work

CONTENT = "content"
OTHER = "other"
# A hash: how many jobs each worker has begun, by worker and queue.
BEGUN = "demo:begun"
# A set: the workers that are ready.
READY = "demo:ready"


class Marks:
    """What a worker's jobs write down."""

    def __init__(self, url: str) -> None:
        self._connection = redis.Redis.from_url(url)
        self._worker = ""

    def ready(self, worker: str) -> None:
        """This process is a worker, and works from now on."""
        self._worker = worker
        self._connection.sadd(READY, worker)

    def run(self, queue: str, job: str, url: str) -> None:
        """Do a job: a call of the upstream if it has an address."""
        self._connection.hincrby(BEGUN, f"{self._worker} {queue}", 1)
        if url:
            call_upstream(url)
        else:
            other_work()
        self._connection.sadd(done(queue), job)

    def failed(self, queue: str, job: str) -> None:
        """The framework has given a job up."""
        self._connection.sadd(failed(queue), job)


def done(queue: str) -> str:
    """The key of the jobs that are done."""
    return f"demo:done:{queue}"


def failed(queue: str) -> str:
    """The key of the jobs that were given up."""
    return f"demo:failed:{queue}"
