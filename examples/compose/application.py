"""The application under test: it creates a VM and learns from webhooks that it runs and that it has ended."""

import json
import os
import time
from typing import Any
from urllib.request import Request, urlopen

BASE, KEY, ORG, RECEIVER = (
    os.environ[name] for name in ("OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID", "RECEIVER")
)


def ask(method: str, url: str, body: Any = None) -> Any:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urlopen(Request(url, data, headers, method=method), timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def wait_for(event: str) -> None:
    """Until the receiver has it: ten minutes of the cloud's time at the most."""
    for _ in range(120):
        if event in ask("GET", f"{RECEIVER}/events"):
            print(event, flush=True)
            return
        ask("GET", f"{BASE}/v1/whoami")  # on a stepped clock, each call lets some time pass
        time.sleep(0.05)
    raise SystemExit(f"no {event} came")


def tell(secret: str) -> None:
    """Tell the receiver what webhooks are signed with; it may still be starting."""
    for _ in range(100):
        try:
            return ask("PUT", f"{RECEIVER}/secret", secret.encode())
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the receiver does not answer")


def main() -> None:
    hook = {"name": "fleet", "url": f"{RECEIVER}/hook", "events": ["vm.running", "vm.terminated"]}
    made = ask("POST", f"{BASE}/v1/orgs/{ORG}/webhooks/create", hook)
    tell(made["secret"])
    vm = ask("POST", f"{BASE}/v1/orgs/{ORG}/vms/create", {"name": "trainer", "gpuModelId": "rtx-3090"})
    wait_for("vm.running")
    ask("POST", f"{BASE}/v1/vms/{vm['id']}/terminate")
    wait_for("vm.terminated")


if __name__ == "__main__":
    main()
