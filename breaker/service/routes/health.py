"""Health checks for an orchestrator: is the process alive, and can it use the store."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from breaker.errors import StoreError
from breaker.fleet import Fleet
from breaker.service.access import may_look
from breaker.service.problems import problems

router = APIRouter(tags=["health"])


# Not in a thread: it must answer while all threads wait for a store that hangs.
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. The store is not checked: a restart would not mend it."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    dependencies=[Depends(may_look)],
    responses={503: {"description": "Not ready"}, **problems(401, 429)},
)
def readyz(request: Request) -> JSONResponse:
    """200 if the store can be read, runs the scripts and takes writes, else 503 and the reason."""
    fleet: Fleet = request.app.state.fleet
    try:
        fleet.probe()
    except StoreError as error:
        return JSONResponse({"status": "not ready", "reason": str(error)}, status_code=503)
    return JSONResponse({"status": "ready"})


@router.get("/openapi.json", dependencies=[Depends(may_look)], include_in_schema=False)
def describe(request: Request) -> JSONResponse:
    """The API's own description."""
    return JSONResponse(request.app.openapi())
