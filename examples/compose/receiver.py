"""A receiver of webhooks beside the application.

It is told the secret at PUT /secret, keeps what is genuine, and answers its types at GET /events.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    secret = ""
    events: list[str] = []

    def do_PUT(self) -> None:
        Receiver.secret = self.body().decode()
        self.answer(204)

    def do_POST(self) -> None:
        body = self.body()
        key = hashlib.sha256(self.secret.encode()).hexdigest().encode()
        expected = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(expected, self.headers.get("X-VectorLay-Signature", ""))
        if genuine:
            self.events.append(json.loads(body)["type"])
        self.answer(204 if genuine else 401)

    def do_GET(self) -> None:
        self.answer(200, json.dumps(self.events).encode())

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("", port), Receiver).serve_forever()
