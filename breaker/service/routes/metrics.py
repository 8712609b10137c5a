"""The metrics, for Prometheus."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.exposition import choose_encoder

from breaker.service.access import may_scrape
from breaker.service.problems import problems

router = APIRouter(tags=["metrics"], dependencies=[Depends(may_scrape)])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problems(401, 429)},
)
def metrics(request: Request) -> Response:
    """The fleet's state, in the format asked for: OpenMetrics or Prometheus text."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.registry), headers={"Content-Type": content_type})
