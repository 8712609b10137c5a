"""The application: `procrastinate --app=app.app worker -q content`."""

import os
import urllib.request

from procrastinate import App, PsycopgConnector

from breaker.integrations.procrastinate import install

app = App(connector=PsycopgConnector(conninfo=os.environ.get("DATABASE_URL", "")))
install(app, queues=["content"])  # the one line; BREAKER_URL names the breaker's store


@app.task(queue="content")
def call_the_api(job: int) -> None:
    """One call; a 429 leaves the task as an exception, and nothing here catches it."""
    urllib.request.urlopen(f"{os.environ['UPSTREAM']}/content?job={job}").close()
