"""The groups of servers that these tests run against, and workers that use them."""

from collections.abc import Iterator

import pytest

from tests import servers as real
from tests.servers import MissingFlavourError, absent
from tests.topologies import Cluster, SentinelGroup


@pytest.fixture(params=real.FLAVOURS[:1])
def flavour(request: pytest.FixtureRequest) -> str:
    """The servers of most tests; a test may ask for others."""
    try:
        real.find_binary(request.param)
    except MissingFlavourError as error:
        absent(str(error))
    return str(request.param)


@pytest.fixture
def group(flavour: str) -> Iterator[SentinelGroup]:
    """A primary, a replica and three Sentinels, which a test may break."""
    group = SentinelGroup(flavour)
    try:
        yield group.start()
    finally:
        group.stop()


@pytest.fixture
def cluster(flavour: str) -> Iterator[Cluster]:
    """Three primaries with a replica each, which a test may break."""
    cluster = Cluster(flavour)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
