"""From an API key to a running VM: who am I, create it, poll until it runs, stop it.

OPENRELAY_API_KEY=vl_… python quickstart.py                       start a VM and stop it again
OPENRELAY_API_KEY=vl_… python quickstart.py list [vms|clusters]   every VM, or cluster, page by page
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

BASE = os.environ.get("OPENRELAY_BASE_URL", "https://api.openrelay.inc")
LONGEST_BACKOFF = 8


def call(method: str, path: str, body: Any = None) -> Any:
    """The answer to a call.

    A GET that meets 429 or 5xx is made up to five times: after as many seconds as Retry-After says, else
    after 1, 2, 4, 8, and up to half as many more, so that clients do not come back all at once. A call that
    changes something is not repeated: it may have been carried out, and its answer lost.
    """
    key = os.environ["OPENRELAY_API_KEY"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = Request(BASE + path, body and json.dumps(body).encode(), headers, method=method)
    backoff = 1
    while True:
        try:
            with urlopen(request) as response:
                return json.load(response)
        except HTTPError as problem:
            passing = problem.code == 429 or problem.code >= 500
            if method != "GET" or not passing or backoff > LONGEST_BACKOFF:
                sys.exit(f"{method} {path}: {problem.code} {problem.read().decode()}")
            seconds = float(problem.headers.get("Retry-After", backoff))
            time.sleep(seconds * (1 + random.random() / 2))
            backoff *= 2


def pages(path: str) -> Iterator[Any]:
    """The items of a list. A cursor is passed on as it came; without one it was the last page."""
    cursor = ""
    while True:
        page = call("GET", f"{path}?limit=100&cursor={cursor}")
        yield from page["items"]
        cursor = page.get("nextCursor")
        if not cursor:
            return


def start(org: str) -> None:
    wanted = {"name": "quickstart", "gpuModelId": "rtx-4090", "gpuCount": 1}
    vm = call("POST", f"/v1/orgs/{org}/vms/create", wanted)
    print(vm["status"])
    while vm["status"] != "running":
        if vm["status"] not in ("pending", "deploying"):
            sys.exit(vm["statusReason"])
        time.sleep(5)
        vm = call("GET", f"/v1/vms/{vm['id']}")
        print(vm["status"])
    print(call("POST", f"/v1/vms/{vm['id']}/stop")["status"])


if __name__ == "__main__":
    organization = call("GET", "/v1/me")["memberships"][0]["organizationId"]
    if sys.argv[1:2] == ["list"]:
        what = sys.argv[2] if len(sys.argv) > 2 else "vms"
        for item in pages(f"/v1/orgs/{organization}/{what}"):
            print(item["name"], item["status"])
    else:
        start(organization)
