"""A proxy before the default server, and the lines that an outage may log."""

import pytest

from tests.contract.conftest import Face
from tests.faults.proxy import Proxy


@pytest.fixture
def proxy(server):
    with Proxy(server.url) as proxy:
        yield proxy


@pytest.fixture(params=["sync", "async"])
def face(request):
    """Calls either face as if it were sync; asks the store each time unless `push=True`."""
    made = Face(request.param, push=False)
    yield made
    made.close()


@pytest.fixture
def told(caplog):
    """Called, says how often an outage was told of, and how often its end."""

    def count():
        lines = [record.getMessage() for record in caplog.records]
        return (
            sum("retrying in the background" in line for line in lines),
            sum("answers again after" in line for line in lines),
        )

    return count
