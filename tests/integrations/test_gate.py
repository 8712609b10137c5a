"""The gate: which queues are guarded, what the end of a job means, and errors that say what to write."""

import importlib.metadata
from types import SimpleNamespace

import pytest

from breaker import (
    Breaker,
    BreakerOpen,
    ConfigurationError,
    RateLimit,
    StoreUnavailable,
    rate_limit,
)
from breaker.integrations.gate import ENVIRONMENT, Gate, acquire, extra, give_back, is_current


class Limited(Exception):
    status_code = 429
    retry_after = 7.0


def gate(queues=None, **options):
    return Gate(queues, line='install(app, queues=["{}"])', **options)


def pairs(queues):
    return dict(gate(queues).names)


# -- which queues


def test_a_list_names_queues_whose_breakers_have_the_same_names():
    assert pairs(["content", "images"]) == {"content": "content", "images": "images"}


def test_a_mapping_names_the_breakers():
    assert pairs({"content": "together:llama"}) == {"content": "together:llama"}


def test_queues_can_share_a_breaker():
    both = gate({"content": "together", "images": "together"})
    assert both.breaker("content") is both.breaker("images")


def test_a_callable_is_asked_for_each_queue():
    by_prefix = gate(lambda queue: "shared" if queue.startswith("content") else None)
    assert by_prefix.breaker("content-7").name == "shared"
    assert by_prefix.breaker("other") is None


def test_the_environment_says_the_same(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "content, images=together:flux,")
    assert pairs(None) == {"content": "content", "images": "together:flux"}


def test_a_queue_that_is_not_named_is_not_guarded():
    assert gate(["content"]).breaker("other") is None


def test_a_breaker_is_made_once_with_the_options(url, name):
    one = gate([name], url=url, threshold=3, push=False)
    assert one.breaker(name) is one.breaker(name)
    assert one.breaker(name).record_rate_limit_error().threshold == 3


# -- bad input


@pytest.mark.parametrize(
    ("queues", "message"),
    [
        ("content", "not 'content': write install(app, queues=[\"content\"])"),
        (7, "not 7: write install"),
        ([], 'no queue is guarded: write install(app, queues=["content"])'),
        ({}, "no queue is guarded"),
        (None, "no queue is guarded"),
        ([7], "not the name of a queue: 7"),
        ([""], "not the name of a queue: ''"),
        ({"content": ""}, "name must not be empty"),
        ({"content": 7}, "name must be"),
        ({"content": "x" * 201}, "1 to 200 characters"),
    ],
)
def test_bad_queues_are_refused(queues, message, monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(ConfigurationError) as caught:
        gate(queues)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["content=", "=content", "a,=,b"])
def test_a_bad_environment_is_refused(text, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, text)
    with pytest.raises(ConfigurationError, match="is not of the form QUEUE or QUEUE=BREAKER"):
        gate()


def test_bad_options_are_refused_at_once():
    with pytest.raises(ConfigurationError, match="threshold"):
        gate(["content"], threshold=0)
    with pytest.raises(ConfigurationError, match="threshold"):
        gate(lambda queue: queue, threshold=0)


def test_a_queue_that_does_not_exist_is_an_error_that_says_what_to_write():
    with pytest.raises(ConfigurationError) as caught:
        gate(["contnet"]).check_names(["other", "content"], list)
    assert "there is no queue 'contnet'" in str(caught.value)
    assert str(caught.value).endswith('write install(app, queues=["content"])')


def test_a_queue_that_other_workers_read_exists():
    gate(["content"]).check_names(["other"], lambda: ["content"])


def test_the_broker_is_not_asked_if_the_worker_reads_the_queue():
    gate(["content"]).check_names(["content"], lambda: pytest.fail("asked"))


def test_a_framework_that_is_missing_is_named_with_the_command():
    command = r"not installed: pip install 'fleet-breaker\[nothing\]'"
    with pytest.raises(ImportError, match=command), extra("nothing", least="1"):
        pytest.fail("entered")


def test_a_framework_that_is_too_old_is_named_with_the_version():
    found = importlib.metadata.version("rq")
    message = f"rq {found} is too old, 99.0 or newer is needed"
    with pytest.raises(ImportError, match=message), extra("rq", least="99.0"):
        pytest.fail("entered")
    with extra("rq", least=found):
        pass


# -- the end of a job


class Permit:
    """Notes its reports; the answer to a rate limit error is a status."""

    def __init__(self, **status):
        self.reports = []
        self._answer = SimpleNamespace(
            **{
                "can_trip": True,
                "is_paused": False,
                "consecutive_errors": 1,
                "threshold": 5,
            }
            | status
        )
        self.status = None

    def report(self, error=None):
        self.reports.append(error)
        limited = error and rate_limit(error)
        self.status = self._answer if limited else None
        return limited

    def release(self):
        self.reports.append("released")


def settle(error, permit=None, **options):
    permit = permit or Permit()
    return gate(["content"], **options).settle(permit, error), permit.reports


def test_a_success_is_reported():
    outcome, reports = settle(None)
    assert not outcome.is_put_back
    assert reports == [None]


def test_another_error_is_left_to_the_framework():
    error = ZeroDivisionError()
    outcome, reports = settle(error)
    assert not outcome.is_put_back
    assert reports == [error]


def test_a_rate_limited_job_is_put_back():
    outcome, reports = settle(Limited())
    assert outcome.is_put_back
    assert outcome.delay == 0
    assert isinstance(outcome.limited, RateLimit)
    assert [type(error) for error in reports] == [Limited]


def test_a_job_that_another_open_breaker_refused_is_put_back_after_a_while():
    refused = BreakerOpen("api", retry_after=9.0, epoch=1, state="open")
    outcome, _ = settle(refused)
    assert outcome.is_put_back
    assert outcome.limited is None
    assert outcome.delay == 9.0


def test_a_job_is_left_to_the_framework_where_asked():
    assert not settle(Limited(), requeue=False)[0].is_put_back


def test_a_job_is_left_to_the_framework_if_the_queue_is_never_paused():
    assert not settle(Limited(), Permit(can_trip=False))[0].is_put_back


@pytest.mark.parametrize(("retry_after", "delay"), [(7.0, 7.0), (None, 1.0), (3600.0, 60.0)])
def test_a_job_waits_if_enough_errors_do_not_pause_the_queue(retry_after, delay):
    error = Limited()
    error.retry_after = retry_after
    assert settle(error, Permit(consecutive_errors=5))[0].delay == delay
    assert settle(error, Permit(consecutive_errors=5, is_paused=True))[0].delay == 0


class Control(Exception):
    """A framework's own exception."""

    def __init__(self, exc=None):
        self.exc = exc


def settle_control(error):
    permit = Permit()
    return gate(["content"]).settle(permit, error, control_flow=(Control,)), permit.reports


@pytest.mark.parametrize("wraps_by", ["exc", "cause"])
def test_what_a_frameworks_own_exception_wraps_is_evidence(wraps_by):
    limited = Limited()
    error = Control(limited if wraps_by == "exc" else None)
    error.__cause__ = limited if wraps_by == "cause" else None
    outcome, reports = settle_control(error)
    assert reports == [limited]
    assert outcome.limited
    assert not outcome.is_put_back  # the framework does what it was told


def test_a_frameworks_own_exception_alone_is_no_evidence():
    outcome, reports = settle_control(Control())
    assert reports == ["released"]  # whatever the classifier would make of its name
    assert outcome.limited is None


def test_a_job_waits_if_its_error_could_not_be_reported():
    permit = Permit()
    permit.report = rate_limit
    assert settle(Limited(), permit)[0].delay == 7.0


# -- the store is away


def away(timeout=None):
    raise StoreUnavailable("gone")


def test_a_store_that_is_away_never_takes_a_workers_loop_down(caplog):
    breaker = SimpleNamespace(acquire=away, name="content")
    assert acquire(breaker) == (None, 1.0)
    assert not is_current(SimpleNamespace(is_current=away))
    give_back(away)
    assert [record.exc_info[1].args for record in caplog.records] == [("gone",)] * 2


@pytest.mark.parametrize(("retry_after", "wait"), [(0.3, 0.3), (60.0, 1.0), (None, 1.0)])
def test_a_refusal_says_when_to_ask_again_within_a_second(retry_after, wait):
    def refuse(timeout):
        assert timeout == 0
        raise BreakerOpen("content", retry_after=retry_after, epoch=1, state="open")

    assert acquire(SimpleNamespace(acquire=refuse, name="content")) == (None, wait)


def test_a_real_breaker_counts_what_is_settled(url, name):
    with Breaker(name, url=url, push=False) as breaker:
        guarded = gate([name], url=url, push=False)
        assert guarded.settle(guarded.breaker(name).acquire(), Limited()).is_put_back
        assert breaker.status().consecutive_errors == 1
        guarded.settle(guarded.breaker(name).acquire(), None)
        assert breaker.status().consecutive_errors == 0


# -- the store at a worker's start


def test_a_store_that_refuses_is_one_error_with_the_line_to_write(store, connection):
    connection.config_set("requirepass", "secret")
    guarded = gate(["content"], url=store.url)
    with pytest.raises(ConfigurationError, match="BREAKER_URL=redis://USER:PASSWORD@HOST"):
        guarded.check_names(["content"], list)


def test_a_certificate_that_is_not_there_is_one_error():
    with pytest.raises(ConfigurationError, match=r"'/nowhere\.pem' is not there"):
        gate(["content"], url="rediss://localhost?ssl_ca_certs=/nowhere.pem")


def test_a_store_that_is_away_does_not_end_the_worker(caplog):
    guarded = gate(["content"], url="redis://127.0.0.1:1/0")
    guarded.check_names(["content"], list)
    assert "the worker starts without it" in caplog.text


def test_a_worker_that_reads_no_guarded_queue_needs_no_store():
    gate(["content"], url="redis://:wrong@127.0.0.1:1/0").check_names(
        ["other"], lambda: ["content"]
    )
