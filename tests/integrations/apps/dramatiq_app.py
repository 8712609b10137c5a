"""The Dramatiq application of the contract."""

import os

import dramatiq

from breaker.integrations.dramatiq import install
from tests.integrations.apps.dramatiq_broker import make_broker
from tests.integrations.apps.work import call

broker = make_broker(os.environ["BROKER"])
install(broker, queues=os.environ.get("QUEUES", "content").split(","))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="content", max_retries=0)
def content(job):
    retries = dramatiq.middleware.CurrentMessage.get_current_message().options.get("retries", 0)
    call("content", job, retries)


@dramatiq.actor(queue_name="other")
def other(job):
    call("other", job)


broker.add_middleware(dramatiq.middleware.CurrentMessage())
