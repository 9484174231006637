"""The consumer of webhooks as a Flask application."""

from __future__ import annotations

from flask import Flask, request

from fleet.events import Events


def create_app(events: Events) -> Flask:
    app = Flask(__name__)

    @app.post("/hooks")
    def hooks() -> tuple[str, int]:
        return "", events.take(request.get_data(), request.headers.get("X-VectorLay-Signature", ""))

    return app
