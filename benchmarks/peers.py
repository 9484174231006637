"""Simulators as they are usually started, each with its nearest thing to a page of 50 and to a create.

`make bench` installs the other projects': the Python one with the extra `bench`, those for Node, which
`peers.json` lists, into build/peers. One that is not there is None.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks.population import CPU_NODE, LOCATIONS, Client, client_of, fleet, populated
from benchmarks.processes import ROOT, Call, Server, python
from simulator import assets
from simulator.kernel.operation import Request
from simulator.worlds import DEFAULT

PAGE = 50
ROOM = 2500
"""Nodes with room for 32 small VMs each: more than are created in the seconds of a load."""
NEW_VM = {"name": "trainer", "resourceSize": "small"}
WORLD = "roomy.yaml"
CONTRACT = str(assets.PACKAGE / "openapi.json")
NODE_PROGRAMS = ROOT / "build" / "peers" / "node_modules" / ".bin"


class Peer(NamedTuple):
    """A server, and what its clients ask over and over."""

    server: Server
    page: Call
    create: Call


def simulator(program: str = "waitress") -> Peer:
    """Ours, with more than a page of VMs, and room for all that are created."""
    page, create = map(Call.of, requests())
    world = str(Path(roomy().folder.name, WORLD))
    command = ("-m", "simulator", "serve", "--port", "{port}", "--server", program, "--world", world)
    return Peer(Server(python(*command), (page,)), page, create)


def requests() -> tuple[Request, Request]:
    """The page and the create, as the API has them."""
    request = roomy().client.request
    return (
        request("GET", f"/v1/orgs/{{org}}/vms?limit={PAGE}"),
        request("POST", "/v1/orgs/{org}/vms/create", NEW_VM),
    )


class Roomy(NamedTuple):
    """A world for all that a load creates."""

    folder: tempfile.TemporaryDirectory[str]
    """Has its file, as long as this process runs."""
    client: Client


@cache
def roomy() -> Roomy:
    spare = [{"hostname": f"spare-{at}", "location": LOCATIONS[0], **CPU_NODE} for at in range(ROOM)]
    fixture = populated(2 * PAGE, ("running",), nodes=[*fleet(2 * PAGE), *spare])
    folder = tempfile.TemporaryDirectory(prefix="benchmarks-")
    Path(folder.name, WORLD).write_text(json.dumps(fixture))
    return Roomy(folder, client_of(assets.open_world(DEFAULT, fixture, seed=0)))


FLOOR = """
import sys
from flask import Flask, Response
from waitress import serve
port, page, vm = map(int, sys.argv[1:])
app = Flask("floor")
@app.get("/vms")
def look():
    return Response(b"." * page, mimetype="application/json")
@app.post("/vms")
def create():
    return Response(b"." * vm, mimetype="application/json")
serve(app, host="127.0.0.1", port=port, threads=16)
"""


def floor() -> Peer:
    """A Flask application on the same server that does nothing: it answers bytes, as many as we do."""
    client = roomy().client
    client.simulator.reset()
    page, vm = (len(client.ask(request).body) for request in requests())
    look, create = (Call.of(request)._replace(path="/vms") for request in requests())
    return Peer(Server(python("-c", FLOOR, "{port}", str(page), str(vm)), (look,)), look, create)


# -- other projects' ---------------------------------------------------------------------------------------


def prism() -> Peer | None:
    """Answers the examples of our contract: a page of one VM."""
    return of_our_contract("prism", "mock", "--port", "{port}", CONTRACT)


def mockoon() -> Peer | None:
    """Answers what it makes up from our contract."""
    return of_our_contract("mockoon-cli", "start", "--port", "{port}", "--data", CONTRACT)


def of_our_contract(program: str, *words: str) -> Peer | None:
    if not (NODE_PROGRAMS / program).exists():
        return None
    page, create = map(Call.of, requests())
    return Peer(Server((str(NODE_PROGRAMS / program), *words), (page,)), page, create)


def moto() -> Peer | None:
    """EC2: describes fifty instances, runs one more."""
    if find_spec("moto") is None:
        return None
    scope = "20260101/us-east-1/ec2/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential=key/{scope}, SignedHeaders=host, Signature=none",
        "Content-Type": "application/x-www-form-urlencoded",
    }

    def call(action: str, **fields: int | str) -> Call:
        return Call("POST", "/", headers, urlencode({"Action": action, "Version": "2016-11-15", **fields}))

    def launch(count: int) -> Call:
        return call("RunInstances", ImageId="ami-12c6146b", MinCount=count, MaxCount=count)

    server = Server(python("-m", "moto.server", "--port", "{port}"), (launch(PAGE),))
    return Peer(server, call("DescribeInstances", MaxResults=PAGE), launch(1))


def azurite() -> Peer | None:
    """Blob storage: lists fifty blobs, puts one."""
    program = NODE_PROGRAMS / "azurite-blob"
    if not program.exists():
        return None
    account, key = "bench", base64.b64encode(b"bench").decode()
    signed = {"sp": "rwlac", "ss": "b", "srt": "sco", "st": "", "se": "2099-01-01T00:00:00Z"}
    text = "\n".join([account, *signed.values(), "", "https,http", "2018-11-09", ""])
    signature = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    token = urlencode(
        {
            **{name: value for name, value in signed.items() if value},
            "spr": "https,http",
            "sv": "2018-11-09",
            "sig": base64.b64encode(signature).decode(),
        }
    )

    def put(blob: str) -> Call:
        return Call("PUT", f"/{account}/box/{blob}?{token}", {"x-ms-blob-type": "BlockBlob"}, "hello")

    box = Call("PUT", f"/{account}/box?restype=container&{token}")
    page = Call("GET", f"/{account}/box?restype=container&comp=list&maxresults={PAGE}&{token}")
    words = ("--blobPort", "{port}", "--inMemoryPersistence", "--skipApiVersionCheck", "--silent")
    command = ("env", f"AZURITE_ACCOUNTS={account}:{key}", str(program), *words)
    return Peer(Server(command, (box, *(put(f"blob-{at}") for at in range(PAGE)))), page, put("another"))
