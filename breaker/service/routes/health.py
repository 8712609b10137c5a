"""What an orchestrator asks: is the process alive, and can it do its work."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from breaker.errors import StoreError
from breaker.fleet import Fleet

router = APIRouter(tags=["health"])


# Not in a thread: it must answer while all of them wait for a store that hangs.
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. A restart mends no store, so the store has no say in this."""
    return {"status": "alive"}


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """200 if the store can be read, else 503 and why not."""
    fleet: Fleet = request.app.state.fleet
    try:
        fleet.names()
    except StoreError as error:
        return JSONResponse({"status": "not ready", "reason": str(error)}, status_code=503)
    return JSONResponse({"status": "ready"})
