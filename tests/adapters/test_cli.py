"""The command line, as a shell meets it: processes, what they print, and how they end."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import pytest
import requests

from simulator import __version__, assets
from simulator.adapters.cli import commands
from simulator.adapters.cli.options import PREFIX
from simulator.adapters.server import Server
from simulator.kernel.settings import SETTINGS, Settings
from simulator.registry import ACTIONS, OPERATIONS
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.command import PATIENCE_S, environment, one_line, run
from tests.support.serving import Serve, Serving
from tests.support.surface import Surface
from tests.support.tables import scenario_schema_text

KEY = "vl_rG35kasgZVZZERVZXN7tUZhLHYTVUsQpCabYF35V"
"""The default world's key: the same for ever, so that a README can print it."""


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """A server in this process, for the commands that call one."""
    worlds = Worlds()
    worlds.open(DEFAULT, Opening())
    with Server(worlds, port=0) as server:
        yield server


def paste(serving: Serving, line: str) -> Any:
    """Run a printed line in a shell after the printed exports, and fail as `curl --fail` does."""
    if not shutil.which("curl"):
        return _curl(serving, line)
    exports = [line for line in serving.printed.splitlines() if line.startswith("export ")]
    script = "\n".join([*exports, line.replace("curl ", "curl --silent --show-error --fail ", 1)])
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, (line, done.stderr)
    return json.loads(done.stdout)


def _curl(serving: Serving, line: str) -> Any:
    """As much of a shell and of curl as the printed lines use."""
    words = shlex.split(Template(line).substitute(serving.exports))[1:]
    options = [(flag, value) for flag, value in pairwise(words) if flag in ("-H", "-d")]
    headers = dict(value.split(": ", 1) for flag, value in options if flag == "-H")
    data = next((value for flag, value in options if flag == "-d"), None)
    method = "GET" if data is None else "POST"
    answer = requests.request(method, words[-1], headers=headers, data=data, timeout=PATIENCE_S)
    answer.raise_for_status()
    return answer.json()


# -- serve


def test_serve_prints_credentials_and_lines_that_work_when_pasted(serve: Serve) -> None:
    serving = serve("--clock", "manual")
    assert "world default, from fixture default, profile 2026-06, clock manual\n" in serving.printed
    assert serving.exports["OPENRELAY_API_KEY"] == KEY
    assert serving.exports["OPENRELAY_BASE_URL"] == serving.exports["OPENRELAY_SIM_URL"] == serving.url
    assert serving.says("control URL") == serving.url + "/_sim"
    who, free, created, advanced, listed = (paste(serving, line) for line in serving.calls)
    assert who["organizationId"] == serving.org
    assert {row["gpuModelId"] for row in free} >= {created["gpuModelId"]}
    assert created["status"] == "deploying"
    assert advanced["events"] == 4
    assert [vm["status"] for vm in listed["items"]] == ["running"]


@pytest.mark.parametrize(
    ("words", "vms"),
    [
        ("--world full", 1),  # without a GPU
        ("--world broke", 0),
        ("--profile 2026-10", 0),  # it would need an SSH key first
        ("--profile 2026-10 --set vms.require_ssh_key=false", 1),
    ],
)
def test_every_printed_line_works_in_every_world_and_profile(serve: Serve, words: str, vms: int) -> None:
    serving = serve("--clock", "manual", *words.split())
    answers = [paste(serving, line) for line in serving.calls]
    assert len(answers) == 4 + vms
    assert sum(vm["name"] == "trainer" and vm["status"] == "running" for vm in answers[-1]["items"]) == vms


def test_to_print_the_lines_changes_nothing(serve: Serve) -> None:
    serving = serve("--clock", "manual")
    assert serving.sim("/journal?kind=request")["items"] == []
    assert paste(serving, serving.calls[-1])["items"] == []


def test_the_tiny_curl_of_the_tests_does_as_curl_does(serve: Serve) -> None:
    serving = serve("--clock", "manual")
    for line in serving.calls:
        assert _curl(serving, line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_code_0_and_no_word(serve: Serve, number: int) -> None:
    serving = serve()
    began = time.monotonic()
    assert serving.stop(number) == (0, "", "")
    assert time.monotonic() - began < 10, "seconds on a busy machine, a fraction of one on an idle one"


def test_a_signal_that_another_thread_takes_ends_it_too() -> None:
    """The main thread sleeps on and is not interrupted."""
    script = (
        "import signal, sys, threading\n"
        "from simulator.adapters.server import Server\n"
        "from simulator.worlds import Worlds\n"
        "server, main = Server(Worlds(), port=0), threading.get_ident()\n"
        "signal.signal(signal.SIGTERM, lambda *_: server.stop())\n"
        "def take():\n"
        "    while sys._current_frames()[main].f_code.co_name != 'poll2':\n"
        "        pass\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "threading.Thread(target=take).start()\n"
        "server.run()\n"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)
    assert time.monotonic() - began < 20, "not the minute that a sleep may otherwise take"


@pytest.mark.parametrize("clock", ["live", "manual"])
def test_a_signal_ends_it_while_a_receiver_hangs(serve: Serve, clock: str) -> None:
    """Live, a delivery of its own hangs; manual, the call that advances the clock."""
    serving = serve("--clock", clock, "--set", "webhooks.timeout_s=60")
    with socket.create_server(("127.0.0.1", 0)) as receiver, ThreadPoolExecutor(1) as pool:
        org, port = serving.org, receiver.getsockname()[1]
        post(
            f"{serving.url}/v1/orgs/{org}/webhooks/create", {"name": "h", "url": f"http://127.0.0.1:{port}/"}
        )
        post(f"{serving.url}/_sim/actions/webhook.send", {"name": "acme", "type": "vm.running"})
        if clock == "manual":
            pool.submit(requests.post, f"{serving.url}/_sim/clock/advance", json={"seconds": 1})
        receiver.settimeout(PATIENCE_S)
        connection, _ = receiver.accept()
        with connection:
            began = time.monotonic()
            code, _, _ = serving.stop()
    assert code == 0
    assert time.monotonic() - began < 20, "not the receiver's minute"


def post(url: str, body: dict[str, str]) -> None:
    auth = {"Authorization": f"Bearer {KEY}"}
    answer = requests.post(url, json=body, headers=auth, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text


def test_the_clock_is_live_unless_it_is_told_otherwise(serve: Serve) -> None:
    clock = serve().sim("/clock")
    assert (clock["mode"], clock["rate"]) == ("live", 1.0)


def test_every_option_reaches_the_world(serve: Serve) -> None:
    serving = serve(
        *("--clock", "stepped", "--step", "1m30s", "--rate", "60", "--world", "empty", "--seed", "7"),
        *("--profile", "2026-10", "--set", "billing.tick_s=7", "--set", "webhooks.retry_s=1,2"),
    )
    world = serving.sim()["world"]
    assert (world["fixture"], world["seed"], world["profile"]) == ("empty", 7, "2026-10")
    assert {**world["clock"], "now": 0} == {"mode": "stepped", "rate": 60, "step": 90, "now": 0, "pending": 0}
    values = {row["key"]: row["value"] for row in serving.sim("/settings")["items"]}
    assert (values["billing.tick_s"], values["webhooks.retry_s"]) == (7, [1, 2])


def test_every_option_is_a_variable_too(serve: Serve) -> None:
    serving = serve(
        clock="manual",
        rate="2",
        step="7",
        world="empty",
        seed="9",
        profile="2026-07",
        set="billing.tick_s=7 webhooks.retry_s=1,2",
        host="localhost",
        control_token="s3cret",
    )
    auth = {"Authorization": "Bearer s3cret"}
    assert requests.get(f"{serving.url}/_sim", timeout=PATIENCE_S).status_code == 401
    world = requests.get(f"{serving.url}/_sim", headers=auth, timeout=PATIENCE_S).json()["world"]
    assert (world["fixture"], world["seed"], world["profile"]) == ("empty", 9, "2026-07")
    assert (world["clock"]["mode"], world["clock"]["rate"], world["clock"]["step"]) == ("manual", 2, 7)
    assert serving.exports["OPENRELAY_SIM_CONTROL_TOKEN"] == "s3cret"
    assert paste(serving, serving.calls[-2])["events"] == 0, "the printed call carries the token"


def test_an_option_wins_over_its_variable(serve: Serve) -> None:
    assert serve("--seed", "1", seed="2").sim()["world"]["seed"] == 1


def test_a_world_from_a_file_is_served(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: empty\nstart: '2027-01-01T00:00:00Z'\n", "utf-8")
    world = serve("--world", file, "--clock", "manual").sim()["world"]
    assert (world["fixture"], world["clock"]["now"]) == (str(file), "2027-01-01T00:00:00.000Z")


def test_a_world_without_keys_is_served_with_calls_that_need_none(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text("title: Nothing at all\n", "utf-8")
    serving = serve("--world", file, "--clock", "manual")
    assert "OPENRELAY_API_KEY" not in serving.printed
    assert len(serving.calls) == 3
    for line in serving.calls:
        assert paste(serving, line) is not None


def test_a_busy_port_is_one_line_and_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in one_line(done)


MISTAKES = {
    "--port 80000": "'--port'",
    "--port http": "'http'",
    "--clock fast": "'fast' is not one of 'live', 'manual', 'stepped'",
    "--rate 0": "rate 0.0: take more than 0",
    "--rate nan": "rate nan",
    "--rate 1e308": "rate 1e+308",
    "--step soon": "'soon' is no span of time; write it as 90s, 2m, 1h30m or 7d",
    "--step -5s": "'-5s' is no span of time",
    "--step 99999d": "step 8639913600.0: take 0 to 100000000",
    "--world defualt": "no fixture 'defualt'; did you mean 'default'?",
    "--world ./nowhere.yaml": "no file './nowhere.yaml'; bundled worlds are",
    f"--world {'x' * 300}.yaml": f"no file '{'x' * 79}…'",
    "--world /": "no file '/'",
    "--seed x": "'x' is not a valid integer",
    "--profile 2025": "'2025' is not one of '2026-06'",
    "--set billing": "'billing' has not the form KEY=VALUE",
    "--set billing.tik_s=5": "unknown setting 'billing.tik_s'; did you mean 'billing.tick_s'?",
    "--set billing.tick_s=soon": "billing.tick_s: 'soon' is not a whole number of at least 1",
    "--control-token clé": "'--control-token'",
    "--rewrite-webhooks localhost": "'localhost' has not the form KEY=VALUE",
    "--host nowhere.invalid": "cannot listen on nowhere.invalid port",
    "--colour": "No such option",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_bad_value_is_one_line_that_names_it_and_code_2(words: str) -> None:
    done = run("serve", *words.split(), port="0") if "--port" not in words else run("serve", *words.split())
    assert done.returncode == 2
    assert MISTAKES[words] in one_line(done)


def test_a_bad_variable_is_named_as_one() -> None:
    assert "OPENRELAY_SIM_PORT" in one_line(run("serve", port="http"))


@pytest.mark.parametrize(
    ("variable", "hint"), [("wrold", "did you mean OPENRELAY_SIM_WORLD?"), ("zzz", "--help of a command")]
)
def test_a_variable_that_is_none_is_a_warning_with_the_nearest_one(variable: str, hint: str) -> None:
    done = run("worlds", **{variable: "full"})
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"openrelay-simulator: warning: OPENRELAY_SIM_{variable.upper()} is no variable")
    assert hint in line
    assert (done.returncode, done.stdout) == (0, run("worlds").stdout)


def test_every_variable_that_is_one_passes_without_a_warning() -> None:
    every = {
        str(option.envvar).removeprefix(PREFIX).lower(): ""
        for command in commands.commands.values()
        for option in command.params
        if option.envvar
    }
    assert {"world", "url", "in_world", "control_token", "rewrite_webhooks"} <= every.keys()
    assert run("worlds", **every).stderr == ""


# -- a running simulator


def test_wait_comes_back_when_the_simulator_answers(served: Server) -> None:
    done = run("wait", "--url", served.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{served.url} answers: ok, version {__version__}\n"


def test_wait_gives_up_with_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    done = run("wait", "--timeout", "0.2s", url=f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "no simulator answers" in one_line(done)


def test_wait_waits_for_a_simulator_that_is_still_to_come(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, "-m", "simulator", "wait", "--url", f"http://127.0.0.1:{port}"]
    waiting = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    serve("--port", port)
    assert waiting.wait(PATIENCE_S) == 0


def test_advance_moves_the_clock_and_says_so(served: Server) -> None:
    run("reset", url=served.url)
    done = run("advance", "1m30s", url=served.url)
    assert done.stdout == (
        "2026-06-15T09:00:00.000Z to 2026-06-15T09:01:30.000Z: 0 events, 0 deliveries\n"
    ), done.stderr
    assert run("advance", "--to", "2026-06-15T10:00:00Z", url=served.url).returncode == 0
    assert run("advance", "--until", "idle", url=served.url).returncode == 0
    assert (
        served.worlds.get(DEFAULT).world.now_ms == served.worlds.get(DEFAULT).world.clock.start_ms + 3_600_000
    )


def test_advance_goes_until_a_resource_has_a_status(served: Server) -> None:
    run("reset", url=served.url)
    overview = requests.get(f"{served.url}/_sim", timeout=PATIENCE_S).json()["world"]
    created = requests.post(
        f"{served.url}/v1/orgs/{overview['organizationId']}/vms/create",
        json={"name": "a", "gpuModelId": "rtx-3090"},
        headers={"Authorization": f"Bearer {overview['apiKey']}"},
        timeout=PATIENCE_S,
    ).json()
    done = run("advance", "--until", f"{created['id']}=running", url=served.url)
    assert "to 2026-06-15T09:01:30.000Z: 4 events" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ("advance", 2, "give exactly one of SPAN, --until, --to"),
        ("advance 5s --until next", 2, "give exactly one of"),
        ("advance soon", 2, "'soon' is no span of time"),
        ("advance --until soon", 2, "'soon' is none of next, idle, ID=STATUS"),
        ("advance --until x=", 2, "'x=' is none of next, idle, ID=STATUS"),
        ("advance --to 2020-01-01T00:00:00Z", 1, "is before now"),
        ("advance --until nobody=running", 1, "no resource 'nobody'"),
        ("advance 5s --in-world nobody", 1, "no world 'nobody'"),
        ("reset --fixture defualt", 1, "no bundled world 'defualt'"),
        ("reset --seed x", 2, "'x' is not a valid integer"),
    ],
)
def test_what_a_running_simulator_refuses_is_one_line(
    served: Server, words: str, code: int, named: str
) -> None:
    done = run(*words.split(), url=served.url)
    assert done.returncode == code
    assert named in one_line(done)


def test_a_simulator_that_is_not_there_is_one_line() -> None:
    done = run("advance", "5s", url="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "no simulator answers at http://127.0.0.1:9: " in one_line(done)
    assert "; --url or OPENRELAY_SIM_URL says where it is" in one_line(done)
    assert "no simulator answers at http://localhost:9: " in one_line(run("reset", url="localhost:9"))


@pytest.mark.parametrize(
    "url", ["https://localhost", "http://", "localhost:99999", "localhost:0", "http://["]
)
def test_what_is_no_address_is_one_line_at_once_and_code_2(url: str) -> None:
    done = run("wait", "--url", url)
    assert done.returncode == 2
    assert f"{url!r} is no address such as http://127.0.0.1:8080" in one_line(done)


def test_an_address_may_leave_out_its_scheme_and_end_in_a_slash(served: Server) -> None:
    done = run("wait", "--url", f"{served.host}:{served.port}/")
    assert done.stdout == f"{served.url} answers: ok, version {__version__}\n", done.stderr


def test_reset_reaches_the_world_that_is_named_with_the_token_that_is_given() -> None:
    worlds = Worlds()
    worlds.open(DEFAULT, Opening())
    worlds.open("other", Opening())
    worlds.get("other").advance(60)
    with Server(worlds, port=0, control_token="s3cret") as server:
        refused = run("reset", "--in-world", "other", url=server.url)
        assert "--control-token" in one_line(refused)
        done = run("reset", "--in-world", "other", "--seed", 5, url=server.url, control_token="s3cret")
    assert done.stdout == "world other is at its first moment, 2026-06-15T09:00:00.000Z\n", done.stderr
    assert worlds.get("other").world.streams.seed == 5


# -- listings


def first_words(*words: object) -> list[str]:
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split()[0] for line in done.stdout.splitlines()]


def test_each_listing_has_one_line_per_row() -> None:
    assert first_words("worlds") == assets.names("fixtures")
    assert first_words("actions") == list(ACTIONS)
    assert first_words("settings") == list(SETTINGS)
    assert len(first_words("operations")) == 112


def test_the_schema_of_scenarios_can_be_put_beside_them() -> None:
    assert run("schema").stdout == scenario_schema_text()


def test_actions_show_the_schemas_of_what_they_take(sim: Surface) -> None:
    shown = [json.loads(line) for line in run("actions", "--schemas").stdout.splitlines()]
    assert shown == sim.get("/_sim/actions").body["items"]


def test_operations_say_what_they_are_called_by() -> None:
    rows = [line.split() for line in run("operations").stdout.splitlines()]
    assert {row[0] for row in rows} == set(OPERATIONS)
    assert ["createVm", "POST", "/v1/orgs/{orgId}/vms/create", "VMs"] in rows


def test_the_defaults_of_the_settings_can_be_set_again() -> None:
    columns = [re.split(r"  +", line) for line in run("settings").stdout.splitlines()]
    values = {row[0]: row[1] for row in columns}
    assert dict(Settings().but(values)) == dict(Settings())


def test_openapi_prints_the_documents() -> None:
    assert json.loads(run("openapi").stdout) == assets.contract_document()
    assert json.loads(run("openapi", "--control").stdout) == assets.control_document()


def test_without_a_command_and_with_help_it_says_what_there_is() -> None:
    for words in ([], ["--help"], ["-h"]):
        assert "serve" in run(*words).stdout
    assert run("--version").stdout == f"openrelay-simulator, version {__version__}\n"
    assert "No such command 'srve'" in one_line(run("srve"))


# -- what a start costs


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_to_serve_needs_neither_openapi_core_nor_faker() -> None:
    start = (
        "from simulator.adapters.server import Server\n"
        "from simulator.worlds import Worlds\n"
        "import http.client\n"
        "with Server(Worlds(), port=0) as server:\n"
        "    connection = http.client.HTTPConnection(server.host, server.port)\n"
        "    connection.request('GET', '/_sim/health')\n"
        "    assert connection.getresponse().status == 200\n"
    )
    assert loaded_by(start) & {"openapi_core", "faker", "jsonschema", "requests"} == set()


def test_a_listing_needs_no_flask() -> None:
    listing = "from simulator.adapters import cli\ncli.commands.main(['settings'], standalone_mode=False)"
    assert loaded_by(listing) & {"flask", "waitress", "openapi_core", "faker"} == set()


def test_the_front_door_opens_on_the_first_knock() -> None:
    assert loaded_by("import simulator") & {"msgspec", "flask", "yaml", "jsonschema_rs"} == set()
    assert "flask" not in loaded_by("from simulator import Simulator, Worlds")
    assert "flask" in loaded_by("from simulator import create_app")
    with pytest.raises(AttributeError, match="no attribute 'Simulater'"):
        __import__("simulator").Simulater  # noqa: B018
