"""The fixtures of every test: servers, a client to look with, a name of one's own."""

import signal
import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import redis

from breaker import jitter
from breaker.alerts import outbox
from tests import servers as real
from tests.servers import MissingFlavourError, NotOursError, Pool, Server, absent

# A shell that starts the tests in the background has SIGINT ignored, and every command that they
# start would inherit that: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# A real server answers when it answers: the timeout of the test is the only deadline.
hypothesis.settings.register_profile("servers", deadline=None, print_blob=True)
hypothesis.settings.load_profile("servers")
hypothesis.register_random(jitter.generator)


def flavours() -> list[object]:
    """What `any_server` goes through: the four, and what this machine has beyond them."""
    params: list[object] = [*real.FLAVOURS]
    if real.external_url():
        params.append("external")
    if real.engine_answers():  # the image may have to be fetched first
        params.append(pytest.param("container", marks=pytest.mark.timeout(300)))
    return params


def pytest_report_header() -> list[str]:
    lines = [f"default server: {real.default_flavour()}"]
    for flavour in real.FLAVOURS:
        try:
            real.find_binary(flavour)
        except MissingFlavourError as error:
            lines.append(f"missing server: {error}")
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A test that wants to stop a server which is not ours cannot run."""
    try:
        return (yield)
    except NotOursError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def servers() -> Iterator[Pool]:
    """This process's servers, by flavour."""
    pool = Pool()
    yield pool
    pool.stop()


@pytest.fixture(autouse=True)
def _healed(servers: Pool) -> Iterator[None]:
    """No test meets a server that another one left paused or dead."""
    yield
    servers.heal()


def take(servers: Pool, flavour: str) -> Server:
    try:
        return servers.get(flavour)
    except MissingFlavourError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def server(servers: Pool) -> Server:
    """The server of most tests."""
    return take(servers, real.default_flavour())


@pytest.fixture(scope="session", params=flavours())
def any_server(request: pytest.FixtureRequest, servers: Pool) -> Server:
    """Each server in turn, for what may differ between them."""
    if request.param == "container":
        try:
            return servers.get("container")
        except Exception as error:  # noqa: BLE001 - an engine without images is like none
            pytest.skip(f"the container engine has no {real.IMAGE}: {error}")
    return take(servers, request.param)


@pytest.fixture
def new_server() -> Iterator[Callable[..., Server]]:
    """Start further servers for one test: `new_server("--maxmemory", "5mb")`."""
    started = []

    def start(*arguments: str, flavour: str = real.FLAVOURS[0]) -> Server:
        try:
            server = real.make_server(flavour, *arguments)
        except MissingFlavourError as error:
            absent(str(error))
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def sends_alerts() -> bool:
    """Whether this process tells of trips: many tests count what a process asks of the store."""
    return False


@pytest.fixture(autouse=True)
def no_alerts_left(sends_alerts: bool) -> Iterator[None]:
    """What this test left untold stays so: its server may be gone, and other tests read the log."""
    outbox._is_silent = not sends_alerts
    yield
    for courier in tuple(outbox._couriers.values()):
        courier._due.clear()
    outbox._couriers.clear()


@pytest.fixture
def url(server: Server) -> str:
    """Where the default server is, with the number of a database."""
    return server.url


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client, to look at what is in the store."""
    with server.client() as client:
        yield client


@pytest.fixture
def name() -> str:
    """A breaker that no other test knows. From the system's randomness: `random` is seeded."""
    return f"test-{uuid.uuid4().hex[:12]}"
