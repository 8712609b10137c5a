"""BullMQ queues that a fleet leaves alone while their upstream refuses.

`install(worker)` guards a worker in Python. `Bridge` guards a queue from beside it: its workers,
in Node or any other language, know nothing of it. `breaker bridge bullmq content` runs one.
"""

from breaker.integrations.bullmq.bridge import Bridge
from breaker.integrations.bullmq.worker import install

__all__ = ["Bridge", "install"]
