"""The event hooks of botocore, with clients of several protocols."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from breaker import Breaker, ConfigurationError, State
from breaker.http.botocore import install
from tests.http.upstream import Answer, until


@pytest.fixture
def breaker(name, url):
    given = {"url": url, "push": False, "threshold": 3, "recovery": "probe", "worker": "w1"}
    with Breaker(name, **given) as made:
        yield made


def client(breaker, upstream, service="dynamodb", endpoint=None, **config):
    made = boto3.client(
        service,
        endpoint_url=endpoint or upstream.url,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(**{"retries": {"mode": "standard", "total_max_attempts": 3}} | config),
    )
    install(made, breaker)
    return made


THROTTLED = Answer(400, {"__type": "ThrottlingException", "message": "slow"})


def test_every_attempt_that_botocore_repeats_counts(breaker, upstream):
    upstream.script = [THROTTLED, THROTTLED, Answer(body={"TableNames": ["a"]})]
    assert client(breaker, upstream).list_tables()["TableNames"] == ["a"]
    assert breaker.status().rate_limit_errors == 2


def test_in_a_guard_nothing_counts_twice(breaker, upstream):
    upstream.script = [THROTTLED]
    made = client(breaker, upstream, retries={"mode": "standard", "total_max_attempts": 2})
    with pytest.raises(ClientError), breaker.guard():
        made.list_tables()
    assert breaker.status().rate_limit_errors == 2


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("dynamodb", lambda made: made.list_tables()),
        ("s3", lambda made: made.list_buckets()),
        ("ec2", lambda made: made.describe_instances()),
        ("iam", lambda made: made.list_users()),
        ("lambda", lambda made: made.list_functions()),
        ("sqs", lambda made: made.list_queues()),
        ("route53", lambda made: made.list_hosted_zones()),
        ("cloudwatch", lambda made: made.list_dashboards()),
    ],
)
def test_an_open_breaker_answers_in_the_services_protocol(breaker, upstream, service, call):
    breaker.pause(60)
    with pytest.raises(ClientError) as caught:
        call(client(breaker, upstream, service))
    found = caught.value.response
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert found["ResponseMetadata"]["HTTPHeaders"]["x-breaker"] == "open"
    assert found["Error"]["Code"] == "BreakerOpen"
    assert upstream.calls == 0
    assert breaker.status().rate_limit_errors == 0


def test_a_connection_that_fails_gives_its_leave_back(breaker, upstream):
    breaker.configure({"threshold": 1})
    breaker.record_rate_limit_error(0.05)
    until(lambda: not breaker.is_paused())
    nowhere = client(
        breaker,
        upstream,
        endpoint="http://127.0.0.1:1",
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    with pytest.raises(EndpointConnectionError):
        nowhere.list_tables()
    assert breaker.status().probe_until is None
    upstream.script = [Answer(body={"TableNames": []})]
    client(breaker, upstream).list_tables()
    assert breaker.status().state is State.CLOSED


def test_installed_twice_it_acts_once(breaker, upstream):
    upstream.script = [THROTTLED]
    made = client(breaker, upstream, retries={"mode": "standard", "total_max_attempts": 1})
    install(made, breaker)
    with pytest.raises(ClientError):
        made.list_tables()
    assert breaker.status().rate_limit_errors == 1


def test_bad_input_is_an_error_at_the_door(breaker):
    with pytest.raises(ConfigurationError, match="needs a client of botocore"):
        install("dynamodb", breaker)
