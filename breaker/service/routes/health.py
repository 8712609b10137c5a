"""Health checks for an orchestrator: is the process alive, and can it use the store."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from breaker.errors import StoreError
from breaker.fleet import Fleet

router = APIRouter(tags=["health"])


# Not in a thread: it must answer while all threads wait for a store that hangs.
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. The store is not checked: a restart would not mend it."""
    return {"status": "alive"}


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """200 if the store can be read, else 503 and the reason."""
    fleet: Fleet = request.app.state.fleet
    try:
        fleet.names()
    except StoreError as error:
        return JSONResponse({"status": "not ready", "reason": str(error)}, status_code=503)
    return JSONResponse({"status": "ready"})
