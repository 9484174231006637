"""`check`: one line for whatever a file holds, with the place where it is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator import assets
from tests.support.command import one_line, run

BAD_WORLDS = {
    "settings:\n  bling: 3\n": "2:3: unknown setting 'bling'",
    "settings:\n  billing.tick_s: soon\n": "2:3: billing.tick_s: 'soon' is not",
    "nodes:\n  - hostname: 3\n": "2:15: nodes[0].hostname: Expected `str`, got `int`",
    "nodes+:\n  - {hostname: 3}\n": "2:16: nodes[",
    "nodes:\n  - hostname: a\n    gpus: 3\n": "3:5: nodes[0]: Object contains unknown field `gpus`",
    "\nvmz: []\n": "2:1: unknown section 'vmz'; did you mean 'vms'?",
    "vms+: [{name: x, organization: nobody}]\n": "1:7: vms: ",
    "start: yesterday\n": "1:8: start: 'yesterday' is not a moment",
    "a: [\n": "3:1: ",
    "extends: defualt\n": "1:1: no fixture 'defualt'; did you mean 'default'?",
    "- a list\n": "1:1: ",
    "settings: {1: 2}\n": "1:12: world.yaml: key '1' is no text without quotes",
    "vms: [{name: a, true: 2}]\n": "1:17: world.yaml: key 'true' is no text without quotes",
    "settings: {[a]: 2}\n": "1:12: world.yaml: a sequence is no key",
    "settings: soon\n": "1:11: world.yaml: settings: a mapping is wanted",
    "nodes+: soon\n": "1:9: world.yaml: nodes+: a list is wanted",
    "profile: 2026-10\n": "1:1: unknown section 'profile': a profile is no world",
    "start: 0001-01-01T00:00:00+10:00\n": "1:8: start: '0001-01-01T00:00:00+10:00' is not a moment",
    "start: 2026-06-15\n": "1:8: start: '2026-06-15' is not a moment",
    "users: &us\n- *us\n": "1:8: world.yaml: aliases stand for more than 100000 nodes",
}


@pytest.mark.parametrize("text", BAD_WORLDS)
def test_check_says_on_which_line_a_world_file_is_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(text if text.startswith(("extends", "- ")) else text + "extends: default\n", "utf-8")
    done = run("check", file)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{file}:{BAD_WORLDS[text]}")


@pytest.mark.parametrize("content", [b"\x9d\xce\x13", b"\x00", b"title: caf\xe9", b"\xff\xfe\x00"])
def test_check_of_what_is_no_text_is_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "world.yaml"
    file.write_bytes(content)
    done = run("check", file)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.startswith(f"{file}:1:1: world.yaml: ")) == (1, True), line


MEMORY = Path("/proc/self/mem")
"""A plain file that not even root reads from the beginning."""


@pytest.mark.skipif(not MEMORY.is_file(), reason="a file of Linux")
def test_a_file_that_cannot_be_read_is_one_line() -> None:
    done = run("check", MEMORY)
    assert (done.returncode, done.stderr) == (1, f"{MEMORY}:1:1: mem: Input/output error\n")
    assert "mem: Input/output error" in one_line(run("serve", "--world", MEMORY))


def test_check_names_a_parent_that_is_wrong_in_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("\n\nnodes: [\n", "utf-8")
    file = tmp_path / "world.yaml"
    file.write_text("extends: parent.yaml\n", "utf-8")
    (line,) = run("check", file).stderr.splitlines()
    assert line.startswith(f"{file}:1:1: parent.yaml: while parsing")


@pytest.mark.parametrize("leaf", ["[1,1,1,1,1,1,1,1,1,1]", '"' + "x" * 1000 + '"'])
def test_check_refuses_aliases_that_grow_beyond_all_measure(tmp_path: Path, leaf: str) -> None:
    """Written out, the value would have a billion parts, and a message that shows it as many."""
    lines = [f"  - &a0 {leaf}"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file = tmp_path / "world.yaml"
    file.write_text("settings:\n  billing.tick_s:\n" + "\n".join(lines) + "\n", "utf-8")
    (line,) = run("check", file).stderr.splitlines()
    assert re.fullmatch(
        rf"{file}:[678]:\d+: world.yaml: aliases stand for more than 100000 nodes in .*", line
    )


def test_a_world_file_may_use_aliases(tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    vm = "{organization: acme, name: a, status: stopped}"
    file.write_text(f"extends: empty\nvms:\n- &vm {vm}\n- <<: *vm\n  name: b\n", "utf-8")
    assert run("check", file).stdout == f"{file}: a world\n"


def test_check_says_of_a_profile_that_it_is_one() -> None:
    file = assets.folder("fixtures") / "profiles" / "2026-10.yaml"
    (line,) = run("check", file).stderr.splitlines()
    assert line.startswith(f"{file}:2:1: unknown section 'profile': a profile is no world; worlds name one")


def test_check_passes_the_bundled_worlds() -> None:
    files = sorted(assets.folder("fixtures").glob("*.yaml"))
    done = run("check", *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{file}: a world" for file in files]
    assert "no-such.yaml" in one_line(run("check", "no-such.yaml"))
