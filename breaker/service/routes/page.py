"""The page: all breakers, one breaker, and the forms by which an operator gives orders."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from breaker.errors import ConfigurationError, StoreError
from breaker.model import Status
from breaker.service import orders
from breaker.service.access import Access, may_look
from breaker.service.board import Board
from breaker.service.drawing import timeline, timeline_start
from breaker.service.overview import Overview, Portrait
from breaker.service.problems import Problem
from breaker.service.session import COOKIE, LASTS, Sessions
from breaker.settings import OPTIONS
from breaker.transitions import EVENTS, STATES

# Entries of the history that a breaker's page shows, and trips whose evidence it shows.
HISTORY = 200
TRIPS = 5

_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Under no-referrer a browser sends `Origin: null` with the page's own forms.
    "Referrer-Policy": "same-origin",
}
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}

_LOGGER = logging.getLogger("breaker")


def _rough(seconds: float | None) -> str:
    """A duration by its two largest units."""
    left, parts = round(seconds or 0), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def _link(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


_PAGES = Environment(
    loader=PackageLoader("breaker.service"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {
    "rough": _rough,
    "moment": lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC",
    "iso": lambda at: at.isoformat(),
}
_PAGES.globals |= {"link": _link, "STATES": STATES, "EVENTS": EVENTS, "OPTIONS": OPTIONS}


def _show(request: Request, template: str, code: int = 200, **shown: Any) -> HTMLResponse:
    access: Access = request.app.state.access
    has_tokens = bool(access.tokens.change or access.tokens.read)
    sessions: Sessions = request.app.state.sessions
    common = {"has_tokens": has_tokens, "has_session": bool(sessions.token_of(request))}
    text = _PAGES.get_template(template).render(common | shown)
    return HTMLResponse(text, code, _SAFE)


class _PageRoute(APIRoute):
    """Answers an error with a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return _explain(request, problem)
            except ConfigurationError as error:
                return _explain(request, Problem(422, str(error), kind="invalid"))
            except RequestValidationError:
                return _explain(
                    request, Problem(422, "the address lacks a part", kind="invalid")
                )
            except StoreError as error:
                overview: Overview = request.app.state.overview
                picture = overview.lost(error)
                return _show(request, "away.html", 503, picture=picture)

        return handle_or_explain


def _explain(request: Request, problem: Problem) -> Response:
    if problem.status == 401:  # noqa: PLR2004 - no token
        return _ask_for_token(request, "", 401)
    answer = _show(
        request, "problem.html", problem.status, detail=problem.detail, status=problem.status
    )
    answer.headers.update(problem.headers or {})
    return answer


def _ask_for_token(request: Request, why: str, status: int = 200, to: str = "") -> Response:
    here = f"{request.url.path}?{request.url.query}" if request.method == "GET" else "/"
    return _show(request, "login.html", status, why=why, to=to or here)


router = APIRouter(route_class=_PageRoute, include_in_schema=False)
look = APIRouter(
    route_class=_PageRoute, include_in_schema=False, dependencies=[Depends(may_look)]
)


# -- look


@look.get("/")
def show_all(request: Request, q: str = "", state: str = "") -> Response:
    """All breakers: the paused ones first, then those that recover, then the others."""
    overview: Overview = request.app.state.overview
    picture = overview.read()
    rows = [
        status
        for status in picture.statuses.values()
        if q.casefold() in status.name.casefold() and state in {"", status.state}
    ]
    rows.sort(key=_urgency)
    every = [status.state for status in picture.statuses.values()]
    return _show(
        request,
        "list.html",
        503 if picture.away else 200,
        picture=picture,
        rows=rows,
        q=q,
        state=state,
        counts={one: every.count(one) for one in STATES},
    )


def _urgency(status: Status) -> tuple[int, str]:
    grave = ("open", "forced-open", "half-open", "disabled", "closed")
    return grave.index(status.state), status.name


@look.get("/row")
def show_row(request: Request, name: str) -> Response:
    """One breaker's row, for the script that keeps the page up to date."""
    overview: Overview = request.app.state.overview
    picture = overview.read()
    if name not in picture.statuses:
        raise _unknown(name)
    return _show(request, "row.html", status=picture.statuses[name], picture=picture)


@look.get("/breaker")
def show_one(request: Request, name: str) -> Response:
    """One breaker: its state, timeline, evidence, history and settings."""
    overview: Overview = request.app.state.overview
    try:
        portrait = _known(overview, name)
    except StoreError as error:
        picture = overview.lost(error)
        if name not in picture.statuses:
            raise
        return _show_portrait(request, Portrait(picture.statuses[name], ()), picture, 503)
    return _show_portrait(request, portrait, None, 200)


def _show_portrait(request: Request, known: Portrait, picture: Any, code: int) -> Response:
    now = max([datetime.now(UTC), *(event.at for event in known.events[-1:])])
    trips = [event for event in known.events if event.event == "tripped"]
    set_by: dict[str, str] = {}
    for event in known.events:
        if event.event == "settings":
            set_by |= dict.fromkeys(event.settings, f"{event.by}: {event.reason}")
    return _show(
        request,
        "breaker.html",
        code,
        status=known.status,
        events=known.events[: -HISTORY - 1 : -1],
        trips=trips[: -TRIPS - 1 : -1],
        set_by=set_by,
        picture=picture,
        timeline=timeline(known.events, known.status.state, now),
        since=timeline_start(known.events, now),
        now=now,
        verbs=orders.offered(known.status),
    )


@router.get("/static/{file}")
def static(file: str) -> Response:
    """The style sheet and the script."""
    if file not in _STATIC:
        raise Problem(404, "there is no such file", kind="unknown-file")
    headers = {"Cache-Control": "public, max-age=300"}
    return Response(_content(file), media_type=_STATIC[file], headers=headers)


@cache
def _content(file: str) -> bytes:
    return (files("breaker.service") / "static" / file).read_bytes()


# -- session


class Form(NamedTuple):
    """What a form has sent, the last of each field."""

    fields: Mapping[str, str]


async def _form(request: Request) -> Form:
    body = (await request.body()).decode(errors="replace")
    return Form(dict(parse_qsl(body, keep_blank_values=True, max_num_fields=100)))


@router.get("/login")
def ask(request: Request) -> Response:
    """Ask for a token."""
    return _ask_for_token(request, "", to="/")


@router.post("/login")
async def begin_session(request: Request) -> Response:
    """Begin a session, if the token is right."""
    fields = (await _form(request)).fields
    to, token = fields.get("to", "/"), fields.get("token", "").strip()
    # Only a path of this service: "//host" and "/\host" lead elsewhere.
    to = to if to.startswith("/") and to[1:2] not in {"/", "\\"} and to.isprintable() else "/"
    access: Access = request.app.state.access
    if not access.is_known(request, token):
        return _ask_for_token(request, "This token is wrong.", 401, to)
    sessions: Sessions = request.app.state.sessions
    answer = RedirectResponse(to, 303, _SAFE)
    answer.set_cookie(
        COOKIE,
        sessions.begin(token),
        max_age=LASTS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def end_session() -> Response:
    """End the session in this browser."""
    answer = RedirectResponse("/login", 303, _SAFE)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


# -- steer


@look.get("/order")
def ask_order(request: Request, name: str, verb: str) -> Response:
    """Say what an order will do, and ask for a reason."""
    _may_change(request)
    return _confirm(request, verb, _known(request.app.state.overview, name), {})


@router.post("/order")
async def give_order(request: Request, name: str, verb: str) -> Response:
    """Give an order, if the operator has seen the last one before it."""
    fields = (await _form(request)).fields
    _may_change(request)
    sessions: Sessions = request.app.state.sessions
    known = await asyncio.to_thread(_known, request.app.state.overview, name)
    if not sessions.is_form_token(request, fields.get("form_token", "")):
        why = ["This form has expired. Check it and confirm again: nothing was done."]
        return _confirm(request, verb, known, fields, why, code=403)
    if fields.get("version") != orders.version_of(known.status, known.events):
        return _confirm(request, verb, known, fields, is_late=True, code=409)
    if why := orders.problems_of(verb, fields):
        return _confirm(request, verb, known, fields, why, code=422)
    by = fields.get("by", "").strip() or f"page from {_address(request)}"
    board: Board = request.app.state.board
    try:
        async with board.breaker(name) as breaker:
            await orders.give(verb, breaker, fields, by)
    except ConfigurationError as error:
        return _confirm(request, verb, known, fields, list(error.problems), code=422)
    if verb != "forget":
        return RedirectResponse(_link("/breaker", name=name), 303, _SAFE)
    await board.drop(name)
    # The history is gone with the breaker, so the log has it.
    _LOGGER.warning("%s forgot breaker %r: %r", by, name, fields["reason"])
    return RedirectResponse("/", 303, _SAFE)


def _confirm(
    request: Request,
    verb: str,
    known: Portrait,
    fields: Mapping[str, str],
    why: list[str] | None = None,
    *,
    is_late: bool = False,
    code: int = 200,
) -> Response:
    if verb not in orders.EFFECTS:
        raise Problem(404, f"there is no order {verb!r}", kind="unknown-order")
    sessions: Sessions = request.app.state.sessions
    return _show(
        request,
        "order.html",
        code,
        verb=verb,
        effect=orders.EFFECTS[verb],
        status=known.status,
        fields=fields,
        why=why or [],
        is_late=is_late,
        news=orders.news_since(fields.get("version", ""), known.events) if is_late else [],
        version=orders.version_of(known.status, known.events),
        form_token=sessions.form_token(request),
        longest=orders.LONGEST_WORDS,
    )


def _may_change(request: Request) -> None:
    sessions: Sessions = request.app.state.sessions
    access: Access = request.app.state.access
    access.may_change(request, sessions.token_of(request))


def _address(request: Request) -> str:
    return request.client.host if request.client else "an unknown address"


def _known(overview: Overview, name: str) -> Portrait:
    portrait = overview.portrait(name)
    if portrait.status.exists or portrait.status.is_paused:  # a pause key may be set by hand
        return portrait
    raise _unknown(name)


def _unknown(name: str) -> Problem:
    detail = f"No breaker is called {name}. It was forgotten, or never made."
    return Problem(404, detail, kind="unknown-breaker")


router.include_router(look)
