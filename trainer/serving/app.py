"""All addresses of the server."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from trainer.serving import replies
from trainer.serving.chat import Chat
from trainer.serving.guards import LOOPBACK, Guard, error_response
from trainer.serving.questions import MODELS
from trainer.serving.schema import ApiError
from trainer.serving.settings import ServeConfig

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE: Final = {
    path.name: path.read_bytes()
    for path in (files("command.pages") / "theme.css", *files("trainer.serving.page").iterdir())
    if path.name.rpartition(".")[2] in _TYPES
}
_CLOSED: Final = 499  # as nginx counts a client that left


@dataclass(frozen=True)
class State:
    """What the server knows of itself."""

    is_stopping: Callable[[], bool]
    failure: Callable[[], BaseException | None]
    about: dict[str, Any]  # of the run, for the page
    created: int = int(time.time())


def make_app(chat: Chat, state: State, *, config: ServeConfig, key: str | None) -> FastAPI:
    """The server's application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_api(app, chat, state)
    _add_page(app)
    _add_errors(app, chat)
    if config.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.allow_origin,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Guard, key=key, hosts=LOOPBACK if config.host in LOOPBACK else None)
    return app


def _add_api(app: FastAPI, chat: Chat, state: State) -> None:
    @app.post("/v1/chat/completions")
    async def answer(request: Request) -> Response:
        if state.is_stopping():
            raise ApiError(503, "the server is stopping and takes no new requests", code="stopping", retry_after=10)
        response = await chat.answer(request)
        chat.metrics.requests.labels("200").inc()
        return response

    @app.get("/v1/models")
    async def models() -> Response:
        return _json(replies.models(MODELS, created=state.created))

    @app.get("/v1/models/{name}")
    async def model(name: str) -> Response:
        if name not in MODELS:
            raise ApiError(404, "no model of this name", param="model", code="model_not_found")
        return _json(replies.model(name, created=state.created))

    @app.get("/health")
    async def health() -> Response:
        status = "failed" if state.failure() else "stopping" if state.is_stopping() else "ok"
        return _json({"status": status}, 200 if status == "ok" else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(chat.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/about")
    async def about() -> Response:
        return _json(state.about)


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    async def page() -> Response:
        return _file("page.html")

    @app.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in _PAGE:
            raise ApiError(404, "no such file")
        return _file(name)


def _add_errors(app: FastAPI, chat: Chat) -> None:
    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        if request.url.path.startswith("/v1/chat"):
            chat.metrics.requests.labels(str(error.status)).inc()
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        response = error_response(ApiError(error.status_code, error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=_CLOSED)  # nobody reads it

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        chat.metrics.requests.labels("500").inc()
        return error_response(
            ApiError(500, "the server failed at this request; its log says where", code="internal_error")
        )


def _json(body: Any, status: int = 200) -> Response:
    return Response(replies.as_json(body), status, {"Cache-Control": "no-store"}, "application/json")


def _file(name: str) -> Response:
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(_PAGE[name], headers={"Cache-Control": "no-cache"}, media_type=kind)
