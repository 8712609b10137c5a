"""The feed: what happens to all breakers, as Server-Sent Events."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from breaker.service.access import may_look
from breaker.service.feed import Feed
from breaker.service.problems import problems

router = APIRouter(tags=["events"], dependencies=[Depends(may_look)])


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(401, 422, 429)},
)
async def follow_events(
    request: Request,
    breaker: Annotated[str | None, Query(description="Only this breaker's.")] = None,
    last_event_id: Annotated[
        str, Header(description="The id of the last event that was received.")
    ] = "",
) -> StreamingResponse:
    """Follow the events as they happen. A browser's EventSource comes back by itself.

    The data of each event is an entry of the history. After a reconnection an event may come
    twice, never not at all.
    """
    feed: Feed = request.app.state.feed
    return StreamingResponse(
        feed.listen(last_event_id, breaker),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )
