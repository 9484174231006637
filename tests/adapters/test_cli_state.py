"""`state save`, `state load`, `serve --state` and `--save-on-exit`, as a shell meets them."""

from __future__ import annotations

import json
import signal
import stat
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.support.command import PATIENCE_S, one_line, run
from tests.support.serving import Serve, Serving


def call(serving: Serving, method: str, path: str, body: Any = None) -> Any:
    """An API call with the default world's key."""
    headers = {"Authorization": f"Bearer {serving.exports['OPENRELAY_API_KEY']}"}
    url = serving.url + path.replace("{org}", serving.org)
    answer = requests.request(method, url, json=body, headers=headers, timeout=PATIENCE_S)
    assert answer.ok, answer.text
    return answer.json()


def advance(serving: Serving, seconds: float) -> None:
    body = {"seconds": seconds}
    requests.post(f"{serving.url}/_sim/clock/advance", json=body, timeout=PATIENCE_S).raise_for_status()


def launch(serving: Serving) -> str:
    body = {"name": "trainer", "gpuModelId": "rtx-3090"}
    vm_id: str = call(serving, "POST", "/v1/orgs/{org}/vms/create", body)["id"]
    return vm_id


def test_a_state_saved_and_loaded_is_the_world_as_it_was(serve: Serve, tmp_path: Path) -> None:
    serving, file = serve("--clock", "manual"), tmp_path / "state.json"
    vm = launch(serving)
    saved = run("state", "save", file, url=serving.url)
    assert saved.stdout == f"{file}: {file.stat().st_size} bytes, secrets omitted\n", saved.stderr
    advance(serving, 90)
    assert call(serving, "GET", f"/v1/vms/{vm}")["status"] == "running"
    loaded = run("state", "load", file, url=serving.url)
    assert loaded.stdout == f"{file} is loaded; it is 2026-06-15T09:00:00.000Z\n", loaded.stderr
    again = tmp_path / "again.json"
    run("state", "save", again, url=serving.url)
    assert again.read_bytes() == file.read_bytes()
    assert call(serving, "GET", f"/v1/vms/{vm}")["status"] == "deploying"


def test_one_of_its_worlds_is_named_and_secrets_are_asked_for(serve: Serve, tmp_path: Path) -> None:
    serving, file = serve("--clock", "manual"), tmp_path / "state.json"
    requests.post(f"{serving.url}/_sim/worlds", json={"name": "w"}, timeout=PATIENCE_S).raise_for_status()
    done = run("state", "save", file, "--in-world", "w", "--with-secrets", url=serving.url)
    assert "secrets included" in done.stdout, done.stderr
    document = json.loads(file.read_bytes())
    assert (document["name"], document["secrets"]) == ("w", "included")
    run("state", "load", file, "--in-world", "w", url=serving.url)
    unknown = run("state", "load", file, "--in-world", "v", url=serving.url)
    assert "no world 'v'" in one_line(unknown)


def test_only_its_owner_may_read_a_saved_state(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    run("state", "save", file, url=serve().url)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_goes_on_where_it_ended(serve: Serve, tmp_path: Path, number: int) -> None:
    """In one process all the time, or in two: the same journal, the same signatures, the same keys."""
    file = tmp_path / "state.json"
    words = ("--clock", "manual", "--seed", 3, "--state", file, "--save-on-exit", file, "--with-secrets")
    first, steady = serve(*words), serve("--clock", "manual", "--seed", 3)
    hook = {"name": "hook", "url": "http://127.0.0.1:9/"}
    for each in (first, steady):
        call(each, "POST", "/v1/orgs/{org}/webhooks/create", hook)
        launch(each)
        advance(each, 100)  # running, and a delivery that will be retried
    code, _, err = first.stop(number)
    assert (code, err) == (0, "")
    second = serve(*words)
    assert f"world default, from state {file}, " in second.printed
    for each in (second, steady):
        launch(each)
        advance(each, 86_400)
    assert second.sim("/journal?limit=1000") == steady.sim("/journal?limit=1000")
    assert second.sim("/state?secrets=include") == steady.sim("/state?secrets=include")


def test_a_created_key_lives_on_in_the_next_process(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    first = serve("--save-on-exit", file)
    key = call(first, "POST", "/v1/orgs/{org}/api-keys/create", {"name": "ci"})["key"]
    first.stop()
    assert key not in file.read_text("utf-8")
    second = serve("--state", file)
    headers = {"Authorization": f"Bearer {key}"}
    assert requests.get(f"{second.url}/v1/whoami", headers=headers, timeout=PATIENCE_S).ok


def test_what_was_in_the_file_is_replaced_whole(serve: Serve, tmp_path: Path) -> None:
    file, link = tmp_path / "state.json", tmp_path / "link.json"
    file.write_text("old", "utf-8")
    link.symlink_to(file)
    assert serve("--save-on-exit", link).stop()[0] == 0
    assert json.loads(file.read_bytes())["state"] == 1
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "state.json"]


def test_a_folder_that_went_away_is_told_at_the_end(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    serving = serve("--save-on-exit", folder / "state.json")
    folder.rmdir()
    code, _, err = serving.stop()
    assert code == 1
    assert f"{folder / 'state.json'} is not written" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--state", "{dir}/none.json"), "--state {dir}/none.json: No such file or directory"),
        (("--state", "{dir}"), "--state {dir}: Is a directory"),
        (("--state", "{dir}/bad.json"), "--state {dir}/bad.json: state: malformed JSON of 12 bytes"),
        (("--state", "{dir}/new.json"), "--state {dir}/new.json: state: version 2, written by release '9'"),
        (("--state", "{dir}/new.json", "--save-on-exit", "{dir}/new.json"), "state: version 2"),
        (("--state", "{dir}/new.json", "--seed", "1"), "settings of its own; leave out --seed"),
        (("--state", "{dir}/new.json", "--world", "full"), "settings of its own; leave out --world"),
        (("--state", "{dir}/new.json", "--set", "billing.tick_s=1"), "leave out --set"),
        (("--save-on-exit", "{dir}/none/s.json"), "--save-on-exit {dir}/none/s.json: no file can be written"),
        (("--save-on-exit", "{dir}"), "--save-on-exit {dir}: it is no plain file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_serve_cannot_go_on_from_or_save_to_is_one_line(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "bad.json").write_text('{"state": 1,', "utf-8")
    (tmp_path / "new.json").write_text('{"state": 2, "simulator": "9"}', "utf-8")
    done = run("serve", "--port", 0, *(word.format(dir=tmp_path) for word in words))
    assert done.returncode == 2
    assert told.format(dir=tmp_path) in one_line(done)


def test_a_variable_that_clashes_with_the_state_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}", "utf-8")
    done = run("serve", "--port", 0, "--state", tmp_path / "s.json", profile="2026-10")
    assert (done.returncode, "leave out --profile" in one_line(done)) == (2, True)


def test_a_state_that_cannot_be_loaded_or_written_is_one_line(serve: Serve, tmp_path: Path) -> None:
    serving, bad = serve(), tmp_path / "bad.json"
    bad.write_text("[]", "utf-8")
    for words, code, told in (
        (("load", tmp_path / "none"), 2, "none: No such file or directory"),
        (("load", bad), 1, "state: an object is wanted, found list"),
        (("save", tmp_path / "no" / "s.json"), 1, "is not written: no file can be written in"),
        (("save", tmp_path), 1, "is not written: it is no plain file"),
    ):
        done = run("state", *words, url=serving.url)
        assert done.returncode == code
        assert told in one_line(done)


def test_where_no_simulator_answers_nothing_is_written(tmp_path: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *words: object) -> None: ...

    file = tmp_path / "state.json"
    assert "no simulator answers" in one_line(run("state", "save", file, url="127.0.0.1:9"))
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = run("state", "save", file, url=f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "sends no state of a world" in one_line(done)
    assert not file.exists()
