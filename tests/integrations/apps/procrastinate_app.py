"""The Procrastinate application of the contract."""

import asyncio
import os

from procrastinate import App, PsycopgConnector

from breaker.integrations.procrastinate import install
from tests.integrations.apps.work import call

app = App(connector=PsycopgConnector(conninfo=os.environ["BROKER"]))
install(app, queues=os.environ.get("QUEUES", "content").split(","))


@app.task(queue="content", name="content", pass_context=True)
async def content(context, job):
    await asyncio.to_thread(call, "content", job, context.job.attempts)


@app.task(queue="content", name="blocking", pass_context=True)
def blocking(context, job):
    call("content", job, context.job.attempts)


@app.task(queue="other", name="other")
def other(job):
    call("other", job)
