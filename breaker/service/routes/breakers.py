"""The breakers: read them, report to them, steer them."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request

from breaker.aio import AsyncBreaker
from breaker.errors import BreakerOpen, BreakerStopped
from breaker.model import Status, Transition
from breaker.service import schemas
from breaker.service.access import may_change, may_look
from breaker.service.board import Board
from breaker.service.problems import Problem, problems
from breaker.service.waiting import while_connected

PREFIX = "/v1/breakers"
READS = problems(401, 422, 429, 503)
CHANGES = problems(400, 401, 403, 413, 422, 429, 503)
UNKNOWN = problems(404)

router = APIRouter(tags=["breakers"])
look = APIRouter(prefix=PREFIX, dependencies=[Depends(may_look)], responses=READS)
change = APIRouter(prefix=PREFIX, dependencies=[Depends(may_change)], responses=CHANGES)


def _name(name: schemas.Name) -> str:
    return unquote(name)


def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


def _caller(request: Request) -> str:
    """The default for `by`."""
    return f"api from {request.client.host}" if request.client else "api"


Caller = Annotated[str, Depends(_caller)]
Name = Annotated[str, Depends(_name)]
TheBoard = Annotated[Board, Depends(_board)]


# -- look


@look.get("")
def list_breakers(board: TheBoard) -> schemas.Breakers:
    """Read all breakers."""
    statuses = list(board.fleet.statuses())
    unreadable = {name: str(error) for name, error in board.fleet.unreadable.items()}
    return schemas.Breakers(breakers=statuses, unreadable=unreadable)


@look.get("/{name}", responses=UNKNOWN)
def read_breaker(name: Name, board: TheBoard) -> Status:
    """Read one breaker."""
    return _known(board.fleet.status(name))


@look.get("/{name}/events", responses=UNKNOWN)
async def read_events(
    name: Name, board: TheBoard, limit: schemas.Limit = 100
) -> list[Transition]:
    """Read the history of one breaker, the oldest entry first."""
    await _must_know(board, name)
    async with board.breaker(name) as breaker:
        return await breaker.events(limit)


@look.get("/{name}/check")
async def check(
    request: Request, name: Name, board: TheBoard, wait: schemas.Wait = None
) -> schemas.Check:
    """Ask for leave to take a job from the queue: for workers in any language.

    An unknown breaker is not paused, and is not made. With `wait`, the request is answered as soon
    as the queue may be read, and while it recovers, at the pace of the fleet.
    """
    if not await board.knows(name):
        return schemas.Check(paused=False)
    async with board.breaker(name) as breaker:
        if wait is None:
            return await _looked(breaker)
        answer = await while_connected(request, _waited(breaker, wait))
    return answer or schemas.Check(paused=True)  # in the latter case it reaches no client


async def _looked(breaker: AsyncBreaker) -> schemas.Check:
    if not await breaker.is_paused():
        return schemas.Check(paused=False)
    local = breaker.local_state()
    if local.state == "paused":
        return schemas.Check(paused=True, resumes_in=local.resumes_in)
    status = await breaker.status()
    return schemas.Check(paused=status.is_paused, resumes_in=status.resumes_in)


async def _waited(breaker: AsyncBreaker, wait: float) -> schemas.Check:
    try:
        permit = await breaker.acquire(timeout=wait)
    except BreakerOpen as refusal:
        return schemas.Check(paused=True, resumes_in=refusal.retry_after)
    except BreakerStopped:  # forgotten meanwhile, or the service ends
        return schemas.Check(paused=False)
    return schemas.Check(paused=False, permit=permit.export())


# -- report


@change.post("/{name}/rate-limit-errors")
async def report_rate_limit_error(
    name: Name, board: TheBoard, given: schemas.RateLimitErrorReport | None = None
) -> Status:
    """Report that the upstream said "slow down". The answer says whether this paused the queue."""
    report = given or schemas.RateLimitErrorReport()
    async with board.breaker(name) as breaker:
        if report.permit is None:
            return await breaker.record_rate_limit_error(
                report.retry_after, report.error_id, kind=report.kind
            )
        permit = breaker.permit(report.permit)
        said = await permit.rate_limited(
            report.retry_after, error_id=report.error_id, kind=report.kind
        )
        return said or await breaker.status()


@change.post("/{name}/successes")
async def report_success(
    name: Name, board: TheBoard, given: schemas.SuccessReport | None = None
) -> Status:
    """Report that a job went through: the count starts again at 0."""
    report = given or schemas.SuccessReport()
    async with board.breaker(name) as breaker:
        if report.permit is None:
            await breaker.record_success()
        else:
            await breaker.permit(report.permit).success()
        return await breaker.status()


# -- steer


@change.post("/{name}/pause")
async def pause(
    name: Name, board: TheBoard, caller: Caller, given: schemas.PauseOrder | None = None
) -> Status:
    """Stop the queue, for a number of seconds or until it is resumed. Makes a breaker that is new."""
    order = given or schemas.PauseOrder()
    async with board.breaker(name) as breaker:
        return await breaker.pause(order.seconds, order.reason, order.by or caller)


@change.post("/{name}/resume", responses=UNKNOWN)
async def resume(
    name: Name, board: TheBoard, caller: Caller, given: schemas.Order | None = None
) -> Status:
    """End a pause or a recovery: closed, nothing counted."""
    order = given or schemas.Order()
    await _must_know(board, name)
    async with board.breaker(name) as breaker:
        return await breaker.resume(order.by or caller, order.reason)


@change.post("/{name}/reset", responses=UNKNOWN)
async def reset(
    name: Name, board: TheBoard, caller: Caller, given: schemas.Order | None = None
) -> Status:
    """Start afresh: closed and enabled, nothing counted, no back-off; totals stay."""
    order = given or schemas.Order()
    await _must_know(board, name)
    async with board.breaker(name) as breaker:
        return await breaker.reset(order.by or caller, order.reason)


@change.post("/{name}/disable")
async def disable(
    name: Name, board: TheBoard, caller: Caller, given: schemas.Order | None = None
) -> Status:
    """Never trip until enabled; errors still count. Makes a breaker that is new."""
    order = given or schemas.Order()
    async with board.breaker(name) as breaker:
        return await breaker.disable(order.by or caller, order.reason)


@change.post("/{name}/enable", responses=UNKNOWN)
async def enable(
    name: Name, board: TheBoard, caller: Caller, given: schemas.Order | None = None
) -> Status:
    """Enable a disabled breaker again."""
    order = given or schemas.Order()
    await _must_know(board, name)
    async with board.breaker(name) as breaker:
        return await breaker.enable(order.by or caller, order.reason)


@change.patch("/{name}/settings")
async def override_settings(
    name: Name, board: TheBoard, caller: Caller, given: schemas.SettingsChange
) -> Status:
    """Override options for the whole fleet, until null removes the override."""
    changes = given.model_dump(exclude_unset=True)
    by = changes.pop("by", "")
    async with board.breaker(name) as breaker:
        return await breaker.configure(changes, by or caller)


@change.delete("/{name}", status_code=204)
async def forget(name: Name, board: TheBoard) -> None:
    """End the breaker's life: its state, its history and its place in the list are gone."""
    async with board.breaker(name) as breaker:
        await breaker.forget()
    await board.drop(name)


async def _must_know(board: Board, name: str) -> None:
    if not await board.knows(name):
        raise _unknown(name)


def _known(status: Status) -> Status:
    if status.exists or status.is_paused:  # a pause key may be set by hand
        return status
    raise _unknown(status.name)


def _unknown(name: str) -> Problem:
    return Problem(404, f"no breaker is called {name!r}", kind="unknown-breaker")


router.include_router(look)
router.include_router(change)
