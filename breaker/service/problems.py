"""Errors as problem documents (RFC 9457): one form for every refusal, never a stack trace."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from breaker.errors import ConfigurationError, StoreError, StoreUnavailable

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """What went wrong."""

    type: str = Field(
        description="Names the kind of problem.", examples=["urn:breaker:no-token"]
    )
    title: str = Field(description="The kind, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong with this request, and what to do.")


class Problem(Exception):  # noqa: N818 - the standard's word
    """Ends a request with a problem document."""

    def __init__(
        self, status: int, detail: str, *, kind: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = headers

    def answer(self) -> JSONResponse:
        """The response."""
        document = ProblemDocument(
            type=f"urn:breaker:{self.kind}" if self.kind else "about:blank",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
        )
        return JSONResponse(
            document.model_dump(), self.status, self.headers, media_type=MEDIA_TYPE
        )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer instead, for its description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {
        status: {
            "model": ProblemDocument,
            "description": HTTPStatus(status).phrase,
            "content": content,
        }
        for status in statuses
    }


def of_store(error: StoreError) -> Problem:
    """The store cannot be used: for now, or before an operator mends something."""
    is_outage = isinstance(error, StoreUnavailable)
    kind = "store-unavailable" if is_outage else "store-refused"
    return Problem(503, str(error), kind=kind, headers={"Retry-After": "1"})


def install(app: FastAPI) -> None:
    """Let the application answer every error with a problem document."""

    @app.exception_handler(Problem)
    async def _(_request: Request, error: Problem) -> JSONResponse:
        return error.answer()

    @app.exception_handler(ConfigurationError)
    async def _(_request: Request, error: ConfigurationError) -> JSONResponse:
        return Problem(422, str(error), kind="invalid").answer()

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> JSONResponse:
        found = "; ".join(_told(one) for one in error.errors())
        return Problem(422, found, kind="invalid").answer()

    @app.exception_handler(StoreError)
    async def _(_request: Request, error: StoreError) -> JSONResponse:
        return of_store(error).answer()

    @app.exception_handler(HTTPException)
    async def _(_request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, error.detail, kind="", headers=error.headers).answer()

    @app.exception_handler(Exception)
    async def _(_request: Request, _error: Exception) -> JSONResponse:
        return Problem(500, "an error of the service; its log has more", kind="").answer()


def _told(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    return f"{where}: {error['msg']}"
