"""`breaker classify`, on what people have at hand: a traceback, what curl printed, a class."""

import json
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from breaker.cli.app import app


def classify(*words, stdin=""):
    return CliRunner().invoke(app, ["classify", *words], input=stdin, prog_name="breaker")


def verdict(*words, stdin=""):
    result = classify("--json", *words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


CURL = """\
HTTP/2 301
location: https://api.example.com/v1

HTTP/2 429
content-type: application/json
retry-after: 7

{"error": {"code": "rate_limit_exceeded"}}
"""


def test_what_curl_printed(tmp_path):
    (tmp_path / "answer.txt").write_text(CURL.replace("\n", "\r\n"))
    for given in (
        verdict(stdin=CURL),
        verdict("-", stdin=CURL),
        verdict(str(tmp_path / "answer.txt")),
    ):
        assert (given["kind"], given["retry_after"]) == ("rate_limit", 7)
        assert given["why"] == "status 429"


def printed(code):
    """Let a process die of an error, and return what it printed."""
    run = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(run, capture_output=True, text=True, check=False).stderr


def test_a_traceback():
    text = printed(
        """
        class RateLimitError(Exception):
            pass
        def call():
            raise RateLimitError("slow down, try again in 20s")
        try:
            call()
        except RateLimitError as error:
            raise RuntimeError("job 4 failed") from error
        """
    )
    given = verdict(stdin=text)
    assert (given["kind"], given["retry_after"]) == ("rate_limit", 20)


def test_a_traceback_of_another_kind():
    assert verdict(stdin=printed("{}[429]"))["kind"] is None
    while_handling = """
        try:
            raise RuntimeError("HTTP 429")
        except RuntimeError:
            {}["bug"]
        """
    assert verdict(stdin=printed(while_handling))["kind"] is None


def test_a_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sdk_of_a_test.py").write_text(
        "class Busy(Exception):\n    status_code = 503\n"
    )
    assert verdict("sdk_of_a_test:Busy")["kind"] == "overload"
    sys.modules.pop("sdk_of_a_test")


def test_a_text():
    assert verdict("Error code: 429 - {'code': 'insufficient_quota'}")["kind"] == "quota"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("HTTP 429, retry after 90 seconds", ["a rate limit", "status 429", "1m 30s"]),
        ("HTTP 429", ["a rate limit", "not said"]),
        ("HTTP 404", ["not a rate limit", "status 404"]),
        ("HTTP 402", ["quota", "pauses the queue at once"]),
    ],
)
def test_for_people(given, said):
    output = classify(given).output
    assert all(each in output for each in said), output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere:Error", "nowhere:Error cannot be imported: No module named 'nowhere'"),
        ("json:loads", "json:loads is not an exception class"),
        ("", "there is nothing to classify"),
    ],
)
def test_what_cannot_be_classified(given, said):
    result = classify(given)
    assert result.exit_code == 2
    assert said in result.stderr
