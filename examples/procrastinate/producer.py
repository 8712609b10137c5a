"""Make the tables if they are missing, and send jobs: `python producer.py 160`."""

import os
import sys

from app import app, call_the_api
from procrastinate import SyncPsycopgConnector

connector = SyncPsycopgConnector(conninfo=os.environ.get("DATABASE_URL", ""))
with app.replace_connector(connector), app.open():
    if not app.check_connection():
        app.schema_manager.apply_schema()
    for number in range(int(sys.argv[1])):
        call_the_api.defer(job=number)
