"""Receive OpenRelay webhooks and refuse those that are not genuine.

WEBHOOK_SECRET=whsec_… python verify_webhook.py [PORT]
"""

import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def verify(secret: str, body: bytes, signature: str) -> bool:
    """Whether OpenRelay signed this very body. `signature` is the header X-VectorLay-Signature."""
    key = hashlib.sha256(secret.encode()).hexdigest()
    expected = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        # Verify the bytes as they came: JSON that was parsed and written again has another signature.
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = verify(os.environ["WEBHOOK_SECRET"], body, self.headers.get("X-VectorLay-Signature", ""))
        self.send_response(204 if genuine else 401)
        self.end_headers()
        if genuine:
            event = json.loads(body)
            print(event["id"], event["type"], event["data"], flush=True)


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
