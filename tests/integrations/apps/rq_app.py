"""The RQ jobs of the contract."""

from rq import get_current_job

from tests.integrations.apps.work import call


def content(job: str) -> None:
    call("content", job, get_current_job().number_of_retries or 0)


def other(job: str) -> None:
    call("other", job)
