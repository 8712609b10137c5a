"""The Celery application of the contract."""

import os

from celery import Celery
from kombu import Exchange, Queue

from breaker.integrations.celery import install
from tests.integrations.apps.celery_queues import queues
from tests.integrations.apps.work import call

app = Celery("contract", broker=os.environ["BROKER"], backend=os.environ.get("RESULTS"))
app.conf.update(
    task_acks_late=os.environ.get("ACKS_LATE") == "1",
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
if seconds := os.environ.get("VISIBILITY"):
    app.conf.broker_transport_options = {"visibility_timeout": float(seconds)}
if kind := os.environ.get("EXCHANGE"):
    app.conf.task_queues = [Queue("content", Exchange(kind, type=kind), "#"), Queue("other")]
if kind := os.environ.get("QUEUE_TYPE"):
    app.conf.task_queues = queues(kind)
install(app, queues=os.environ.get("QUEUES", "content").split(","))


@app.task(bind=True, max_retries=0)
def content(self, job):
    call("content", job, self.request.retries)


@app.task(bind=True, max_retries=0, autoretry_for=(Exception,))
def eager(self, job):
    call("content", job, self.request.retries)


@app.task
def other(job):
    call("other", job)
