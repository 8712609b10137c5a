"""Changes that cannot be published or heard."""

from tests.contract.waiting import eventually


def test_a_breaker_whose_last_change_was_not_published(run, make, user, prefix):
    url = user("+@all", "-publish")
    make("content", url=url, push=False, threshold=1).record_rate_limit_error()
    eventually(
        lambda: (
            "content: the last change could not be published" in run("doctor", url=url).stdout
        )
    )
