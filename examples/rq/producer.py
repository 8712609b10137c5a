"""Send jobs: `python producer.py 160`."""

import os
import sys

import redis
from jobs import call_the_api
from rq import Queue

connection = redis.Redis.from_url(os.environ.get("RQ_REDIS_URL", "redis://localhost:6379/0"))
queue = Queue("content", connection=connection)
for number in range(int(sys.argv[1])):
    queue.enqueue(call_the_api, number)
