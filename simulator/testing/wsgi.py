"""A request as a WSGI application gets it from a server."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

NOT_THE_SENDERS = ("CONTENT_LENGTH", "TRANSFER_ENCODING", "HOST")
"""Said by the body and the URL themselves."""


def environ(
    method: str, url: str, headers: Mapping[str, str], body: bytes, prefix: str = ""
) -> dict[str, Any]:
    """The environment of PEP 3333. `prefix` is the part of the path below which the application lies."""
    parts = urlsplit(url)
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": prefix,
        "PATH_INFO": unquote_to_bytes(parts.path.removeprefix(prefix) or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port or 443),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc.rpartition("@")[2],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        variable = name.upper().replace("-", "_")
        if variable not in NOT_THE_SENDERS:
            made["CONTENT_TYPE" if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] = value
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    return made
