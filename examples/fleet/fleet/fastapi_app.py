"""The consumer of webhooks as a FastAPI application."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from fleet.events import Events


def create_app(events: Events) -> FastAPI:
    app = FastAPI()

    @app.post("/hooks")
    async def hooks(request: Request) -> Response:
        signature = request.headers.get("X-VectorLay-Signature", "")
        return Response(status_code=events.take(await request.body(), signature))

    return app
