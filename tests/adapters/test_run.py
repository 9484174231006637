"""`openrelay-simulator run`, as a shell meets it: the command's surroundings, the verdict, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PATIENCE_S, environment, one_line, run

KEY = "vl_rG35kasgZVZZERVZXN7tUZhLHYTVUsQpCabYF35V"
ORG = "3b1f6c1e-8d0a-4f7b-9c52-6a1d0e4b7a01"
PYTHON = sys.executable

CLIENT = """
import json, os, sys
from urllib.request import Request, urlopen

BASE, KEY, ORG = (os.environ[name] for name in ("OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID"))

def ask(method, path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(BASE + path, data, headers, method=method)) as answer:
        return json.loads(answer.read())

def create():
    return ask("POST", f"/v1/orgs/{ORG}/vms/create", {"name": "trainer", "gpuModelId": "rtx-3090"})["id"]

def world():
    return ask("GET", "/_sim")["world"]
"""
"""What the commands of these tests begin with."""


@pytest.fixture
def day(tmp_path: Path) -> Any:
    """Write a scenario file of these members."""

    def write(**members: Any) -> Path:
        file = tmp_path / "day.yaml"
        file.write_text(json.dumps({"scenario": 1, "title": "A day", **members}), "utf-8")
        return file

    return write


def python(script: str) -> tuple[str, ...]:
    """A command after its `--`."""
    return ("--", PYTHON, "-c", f"{CLIENT}\n{script}")


def rehearse(scenario: object, script: str, *options: object, **variables: str) -> Any:
    return run("run", scenario, *options, *python(script), **variables)


def shown(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that the command printed first."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[0])


# -- the verdict -------------------------------------------------------------------------------------------


def test_findings_about_time_say_what_a_stepped_clock_does_not_see(day: Any) -> None:
    busy = {"on": "request", "operation": "listOrgVms", "times": 1}
    faults = [{**busy, "do": {"respond": {"status": 429, "retry_after": 60}}}]
    script = """
for _ in range(2):
    try:
        ask("GET", f"/v1/orgs/{ORG}/vms")
    except OSError:
        print("refused")
"""
    told = " ".join(rehearse(day(faults=faults), script).stdout.split())
    assert "finding ignored-retry-after" in told
    assert "a stepped clock does not see what the command sleeps by itself" in told
    live = rehearse(day(faults=faults), script, "--clock", "live")
    assert "finding ignored-retry-after" in live.stdout
    assert "stepped clock" not in live.stdout


def test_the_verdict_tells_what_happened_what_was_expected_and_what_it_costs(day: Any) -> None:
    expect = [{"calls": "createVm", "count": 1}, {"leaks": 0}]
    done = rehearse(day(expect=expect), "create()")
    assert done.returncode == 1
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert "A day" in lines[0]
    assert lines[1].endswith(": exit code 0, 2m 20s of virtual time")
    assert "    +5s  request     createVm was answered 200" in lines
    assert "+1m 35s  transition  trainer went from deploying to running by started" in lines
    assert '✓  {"calls": "createVm", "count": 1}  1 call' in lines
    assert "✗" in done.stdout
    *said, met, _, word = lines[-6:]
    assert re.fullmatch(r"\d\.\d % of the cloud's behaviours met", met)
    assert [*said, word] == [
        "spent $0.00",
        "left behind, $0.18 an hour and $4.32 a day from now on:",
        "  vm 'trainer' is running and costs $0.18 an hour, since 2026-06-15T09:01:35.000Z",
        "FAILED: 1 expectation does not hold",
    ]


@pytest.mark.parametrize(
    ("expect", "script", "code", "word"),
    [
        ([{"calls": "whoami"}], "ask('GET', '/v1/whoami')", 0, "PASSED: 1 of 1 expectations hold"),
        ([], "", 0, "PASSED: 0 of 0 expectations hold"),
        ([{"calls": "getMe"}], "", 1, "FAILED: 1 expectation does not hold"),
        ([{"calls": "getMe"}] * 2, "sys.exit(7)", 1, "FAILED: 2 expectations do not hold"),
        ([], "sys.exit(7)", 7, "FAILED: all expectations hold, but the command ended with exit code 7"),
        (
            [],
            "os.kill(os.getpid(), 9)",
            137,
            "FAILED: all expectations hold, but the command ended with signal SIGKILL",
        ),
    ],
)
def test_the_exit_code_says_how_it_went(day: Any, expect: Any, script: str, code: int, word: str) -> None:
    done = rehearse(day(expect=expect), script)
    assert (done.returncode, done.stdout.splitlines()[-1].strip()) == (code, word), done.stderr


def test_a_pipe_gets_plain_lines_of_eighty_columns() -> None:
    done = rehearse(
        "answers-lost", "import contextlib\nwith contextlib.suppress(OSError): create()\ncreate()"
    )
    assert "\x1b" not in done.stdout
    story = done.stdout.partition("virtual time")[2].partition("spent")[0].splitlines()
    assert len(story) > 10
    assert max(map(len, story)) <= 80


def test_where_there_is_no_tick_the_verdict_is_told_all_the_same(day: Any) -> None:
    command = [PYTHON, "-m", "simulator", "run", str(day(expect=[{"leaks": 0}])), *python("")]
    surroundings = environment() | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=surroundings, capture_output=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"PASSED" in done.stdout


def test_a_long_story_is_shortened(day: Any, tmp_path: Path) -> None:
    script = "for _ in range(100): ask('PUT', '/_sim/faults', {'items': []})"
    done = rehearse(day(), script, "--journal", tmp_path / "journal")
    assert "40 more; --journal writes all of them into a file" in done.stdout
    assert len((tmp_path / "journal").read_text().splitlines()) >= 100


# -- what the command finds --------------------------------------------------------------------------------


def test_the_command_finds_simulator_key_and_organization(day: Any) -> None:
    script = "print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('OPENRELAY', 'ORG'))}))"
    done = rehearse(day(), script)
    found = shown(done)
    url = found.pop("OPENRELAY_BASE_URL")
    assert url.startswith("http://127.0.0.1:")
    assert found == {"OPENRELAY_SIM_URL": url, "OPENRELAY_API_KEY": KEY, "ORG_ID": ORG}


def test_a_key_of_its_owner_is_not_used(day: Any) -> None:
    command = [PYTHON, "-m", "simulator", "run", str(day()), *python("print(KEY)")]
    surroundings = environment() | {"OPENRELAY_API_KEY": "real", "ORG_ID": "real"}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == KEY


def test_this_command_finds_the_simulator_too(day: Any) -> None:
    done = run("run", day(), "--", PYTHON, "-m", "simulator", "advance", "90s")
    assert done.stdout.splitlines()[0].startswith("2026-06-15T09:00:00.000Z to 2026-06-15T09:01:30.000Z")
    assert (done.returncode, done.stderr) == (0, "")


def test_options_win_over_the_scenario_and_its_clock_is_stepped(day: Any) -> None:
    show = "ask('GET', '/v1/gpu-availability'); print(json.dumps(world()))"
    own = shown(rehearse(day(seed=3, settings={"profile": "2026-07"}), show))
    assert (own["seed"], own["profile"]) == (3, "2026-07")
    assert (own["clock"]["mode"], own["clock"]["step"]) == ("stepped", 5)
    assert own["clock"]["now"] == "2026-06-15T09:00:05.000Z"
    options = ("--seed", 4, "--set", "profile=2026-10", "--step", "1m", "--rate", 60)
    other = shown(rehearse(day(seed=3), show, *options))
    assert (other["seed"], other["profile"]) == (4, "2026-10")
    assert (other["clock"]["now"], other["clock"]["rate"]) == ("2026-06-15T09:01:00.000Z", 60)


def test_options_are_variables_too(day: Any, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    settings = "profile=2026-10 billing.tick_s=7"
    done = rehearse(
        day(), "print(json.dumps(world()))", seed="4", set=settings, clock="manual", journal=str(file)
    )
    found = shown(done)
    assert (found["seed"], found["profile"], found["clock"]["mode"]) == (4, "2026-10", "manual")
    assert file.exists()


def test_a_live_clock_runs_at_its_rate(day: Any) -> None:
    script = (
        "vm = create()\n"
        "while ask('GET', f'/v1/vms/{vm}')['status'] != 'running': pass\n"
        "ask('POST', f'/v1/vms/{vm}/terminate')"
    )
    done = rehearse(day(expect=[{"leaks": 0}]), script, "--clock", "live", "--rate", 1000)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_options_stand_on_either_side_of_the_scenario_and_the_rest_is_the_commands(day: Any) -> None:
    script = "print(json.dumps([world()['seed'], sys.argv[1:]]))"
    command = python(script)
    for words in ((day(), "--seed", 4), ("--seed", 4, day())):
        assert shown(run("run", *words, *command, "--seed", 5, "--", "-x")) == [
            4,
            ["--seed", "5", "--", "-x"],
        ]


# -- the journal -------------------------------------------------------------------------------------------


def test_same_scenario_and_seed_give_the_same_journal(tmp_path: Path) -> None:
    """With an example that knows its ways, and with chance in the scenario."""
    client = Path(__file__).resolve().parents[2] / "examples" / "careless_client.py"
    written = []
    for number in range(2):
        for scenario in ("api-brownout", "answers-lost"):
            file = tmp_path / f"{scenario}-{number}"
            run("run", scenario, "--journal", file, "--", PYTHON, client)
            written.append(file.read_bytes())
    assert written[:2] == written[2:]
    assert len(written[1].splitlines()) > 50
    other = tmp_path / "other"
    run("run", "answers-lost", "--seed", 9, "--journal", other, "--", PYTHON, client)
    assert other.read_bytes() != written[1]


def test_a_journal_that_could_not_be_written_is_told_before_anything_runs(day: Any, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    done = rehearse(day(), f"open({str(touched)!r}, 'w')", "--journal", tmp_path / "no" / "journal")
    assert done.returncode == 2
    assert "--journal" in one_line(done)
    assert not touched.exists()


# -- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("answers-lsot", "--", "true"), "did you mean 'answers-lost'?"),
        (("./none.yaml", "--", "true"), "none.yaml: No such file or directory"),
        (("answers-lost",), "Missing argument 'COMMAND...'"),
        ((), "Missing argument 'SCENARIO'"),
        (("answers-lost", "--sed", "1", "--", "true"), "--seed"),
        (("answers-lost", "--seed", "x", "--", "true"), "'x' is not a valid integer"),
        (("answers-lost", "--clock", "fast", "--", "true"), "'fast' is not one of"),
        (("answers-lost", "--rate", "0", "--", "true"), "rate 0.0: take more than 0"),
        (("answers-lost", "--step", "soon", "--", "true"), "'soon' is no span of time"),
        (("answers-lost", "--set", "billing.tik_s=1", "--", "true"), "did you mean 'billing.tick_s'?"),
        (("answers-lost", "--", "no-such-command"), "no-such-command: No such file or directory"),
        (("answers-lost", "--", "/"), "/: Permission denied"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_code_2(words: tuple[str, ...], told: str) -> None:
    done = run("run", *words)
    assert done.returncode == 2
    assert told in one_line(done)


def test_a_scenario_that_is_none_is_refused_with_its_place(day: Any) -> None:
    file = day(faults=[{"on": "request", "operation": "creatVm", "do": {"reset": True}}])
    done = rehearse(file, "")
    assert done.returncode == 2
    assert f"{file}: faults[0].operation: no operation 'creatVm'" in one_line(done)


# -- the end -----------------------------------------------------------------------------------------------


def test_what_is_under_way_comes_to_rest(day: Any) -> None:
    """A start, and what the timeline still brings."""
    timeline = [{"at": "20h", "do": {"balance.credit": {"name": "acme", "cents": 1}}}]
    expect = [{"event": "vm.running"}, {"action": "balance.credit"}]
    done = rehearse(day(timeline=timeline, expect=expect), "create()")
    assert done.returncode == 0, done.stdout
    assert "20h 00m 00s of virtual time" in " ".join(done.stdout.split())


def test_it_waits_no_longer_than_a_day_for_that(day: Any) -> None:
    timeline = [{"at": "300d", "do": {"balance.credit": {"name": "acme", "cents": 1}}}]
    done = rehearse(day(timeline=timeline, expect=[{"action": "balance.credit"}]), "create()")
    assert done.returncode == 1
    assert "not at rest: something is still under way a day after the command" in done.stdout
    assert "2m 20s of virtual time" in " ".join(done.stdout.split()), "and what does not come takes no time"


def test_a_vm_that_runs_on_is_left_behind_and_not_waited_for(day: Any) -> None:
    done = rehearse(day(), "create()")
    assert "left behind, $0.18 an hour" in done.stdout
    assert "2m 20s of virtual time" in " ".join(done.stdout.split())


def test_a_receiver_that_ended_with_the_command_does_not_hold_it_up(day: Any) -> None:
    script = (
        "import socket\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "url = f'http://127.0.0.1:{listening.getsockname()[1]}/'\n"
        "ask('POST', f'/v1/orgs/{ORG}/webhooks/create', {'name': 'h', 'url': url})\n"
        "create()"
    )
    done = rehearse(day(expect=[{"delivered": "*", "count": 0}]), script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "attempt 4 to deliver vm.running is failed" in " ".join(done.stdout.split())


# -- signals -----------------------------------------------------------------------------------------------

LASTING = """
import signal
def stop(number, frame):
    heard.append(number)
heard = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
print("ready", flush=True)
while not heard:
    signal.pause()
"""


class Running:
    """`run` with a command that lasts until it is told to stop."""

    def __init__(self, scenario: Path, script: str, *before: str) -> None:
        command = [*before, PYTHON, "-m", "simulator", "run", str(scenario), *python(script)]
        self.process = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.strip() == "ready", (first, self.process.communicate())

    def end(self) -> tuple[int, str, str]:
        try:
            out, err = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_never_ends_is_stopped_by_a_signal_and_the_verdict_follows(
    day: Any, number: signal.Signals
) -> None:
    running = Running(day(expect=[{"leaks": 0}]), f"{LASTING}\nprint('cleaning up')")
    running.process.send_signal(number)
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "cleaning up"
    assert out.splitlines()[-1].strip() == "PASSED: 1 of 1 expectations hold"


def test_a_command_that_does_not_listen_for_it_ends_by_the_signal(day: Any) -> None:
    script = "import signal\nsignal.signal(2, signal.SIG_DFL)\nprint('ready', flush=True)\nsignal.pause()"
    running = Running(day(), script)
    running.process.send_signal(signal.SIGINT)
    code, out, _ = running.end()
    assert code == 130
    assert "ended with signal SIGINT" in " ".join(out.split())


PTY = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


def test_ctrl_c_in_a_terminal_is_heard_by_the_command_once(day: Any) -> None:
    """And a terminal gets its colours."""
    count = "import time\ntime.sleep(0.2)\nprint('heard', len(heard))"
    running = Running(day(), f"{LASTING}\n{count}", PYTHON, "-c", PTY)
    assert running.process.stdin is not None
    running.process.stdin.write("\x03")
    running.process.stdin.flush()
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert "heard 1\r\n" in out or "heard 1\n" in out
    assert "PASSED" in out
    assert "\x1b[" in out


def test_a_command_that_ends_while_its_call_is_under_way_is_no_trouble(day: Any) -> None:
    """It goes away while its advance waits for a receiver."""
    script = (
        "import signal, socket, threading\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "url = f'http://127.0.0.1:{listening.getsockname()[1]}/'\n"
        "ask('POST', f'/v1/orgs/{ORG}/webhooks/create', {'name': 'h', 'url': url})\n"
        "create()\n"
        "advance = ('POST', '/_sim/clock/advance', {'seconds': 600})\n"
        "threading.Thread(target=ask, args=advance, daemon=True).start()\n"
        "listening.accept()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = rehearse(day(), script)
    assert done.returncode == 137, done.stdout + done.stderr
    assert "signal SIGKILL" in done.stdout
    assert done.stderr == ""
