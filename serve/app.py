"""The application: Quart serves every route, the seam in front of it the hot ones; wiring only."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, cast

from quart import Quart, Response, request
from quart.wrappers.response import ResponseBody
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout

from p402.errors import Refusal, TooLarge
from serve.errors import exception_reply, refusal_reply
from serve.handlers.front import Front, Handler, answer
from serve.hot import CLOSE, TOO_SLOW, Seam
from serve.http import BODY_IDLE_S, ByteStream, HttpReply, HttpRequest
from serve.routes import ROUTES
from serve.wire import MAX_BODY_BYTES
from serve.wire.json import too_large

Hook = Callable[[], Awaitable[None]]


def create_app(front: Front, start: Hook, stop: Hook, *, seam: bool = True) -> Quart:
    """Make the ASGI application of one worker; `start` and `stop` run with its lifespan."""
    app = Quart("serve", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_IDLE_S
    app.config["RESPONSE_TIMEOUT"] = None  # the upstream's own time-outs bound an answer
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.before_serving(start)
    app.after_serving(stop)
    for route in ROUTES:
        app.add_url_rule(
            route.path,
            endpoint=f"{route.method} {route.path}",
            view_func=_view(front, route.handler),
            methods=[route.method],
        )
    app.register_error_handler(HTTPException, _no_route(front))
    if seam:
        app.asgi_app = Seam(app.asgi_app, front)  # type: ignore[method-assign, assignment]
    return app


def _view(front: Front, handler: Handler) -> Callable[..., Awaitable[Response]]:
    async def view(**_: str) -> Response:
        try:
            body = cast("bytes", await request.get_data(cache=False, as_text=False))
        except RequestEntityTooLarge:
            return _response(
                front, exception_reply(TooLarge(too_large(request.content_length)), front.new_id())
            )
        except RequestTimeout:
            return _response(front, refusal_reply(TOO_SLOW, front.new_id(), headers=CLOSE))
        headers = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in request.headers}
        made = HttpRequest(request.method, request.path, headers, body, request.query_string)
        return _response(front, await answer(front, handler, made))

    return view


def _no_route(front: Front) -> Callable[[HTTPException], Awaitable[Response]]:
    async def no_route(error: HTTPException) -> Response:
        status = error.code or 500
        where = f"{request.method} {request.path[:200]}"
        match status:
            case 404:
                refusal = Refusal("NOT_FOUND", 404, f"there is nothing at {where}; the API's base is /v1")
            case 405:
                refusal = Refusal(
                    "METHOD_NOT_ALLOWED", 405, f"{where} is not a call that exists; see `Allow`"
                )
            case _:
                refusal = Refusal("INVALID_INPUT" if status < 500 else "INTERNAL_ERROR", status, error.name)
        allow = error.get_response().headers.get("allow")
        headers = () if allow is None else ((b"allow", allow.encode("latin-1")),)
        return _response(front, refusal_reply(refusal, front.new_id(), headers=headers))

    return no_route


def _response(front: Front, reply: HttpReply) -> Response:
    front.meter.answered(reply.status)
    body = reply.body
    response = Response(body if isinstance(body, bytes) else _Pieces(body), status=reply.status)
    response.timeout = None
    response.headers.clear()
    for name, value in reply.headers:
        response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
    if isinstance(body, bytes):
        response.headers["content-length"] = str(len(body))
    return response


class _Pieces(ResponseBody):
    """A stream in Quart's terms; it is closed on every way out, even if it was never begun."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> ByteStream:
        return self._stream
