"""Builds the image and runs it with what Debian has: buildah without an engine, namespaces of the kernel."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
BUILDAH = ("buildah", "--storage-driver", "vfs")
BASE, IMAGE = "localhost/openrelay-simulator-base", "localhost/openrelay-simulator"
PACKAGES = "python3-venv,ca-certificates"
PROGRAMS = ("buildah", "mmdebstrap", "unshare", "nsenter", "ip", "curl")
START_S = 20


def missing() -> str:
    """What a machine lacks for this; "" for nothing."""
    if os.geteuid() != 0:
        return "root"
    return ", ".join(program for program in PROGRAMS if shutil.which(program) is None)


def build(folder: Path) -> dict[str, Any]:
    """Build the image from the checkout, on a base of Debian's packages; answers its configuration."""
    tar = folder / "base.tar"
    _run("mmdebstrap", "--quiet", "--variant=essential", f"--include={PACKAGES}", _release(), tar)
    scratch = _run(*BUILDAH, "from", "scratch")
    _run(*BUILDAH, "add", "--quiet", scratch, tar, "/")
    _run(*BUILDAH, "commit", "--quiet", "--rm", scratch, BASE)
    tar.unlink()
    options = ("--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}")
    volumes = [option for place in _pip_places(folder) for option in ("--volume", f"{place}:ro")]
    _run(*BUILDAH, "bud", "--quiet", *options, *volumes, "--tag", IMAGE, ROOT)
    inspected: dict[str, Any] = json.loads(_run(*BUILDAH, "inspect", "--type", "image", IMAGE))
    return inspected["Docker"]["config"]


def _release() -> str:
    """Debian's name for the release that this machine is, whose packages it can reach."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)["VERSION_CODENAME"].strip('"')


def _pip_places(folder: Path) -> list[str]:
    """How pip reaches its index here, for the pip inside: its configuration, and the files that it names."""
    chosen = {}
    for line in _run(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        chosen[name.rpartition(".")[2]] = value.strip("'")
    config = folder / "pip.conf"
    config.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in chosen.items()))
    words = [word for value in chosen.values() for word in value.split()]
    files = [Path(word) for word in words if word.startswith("/")]
    indexes = [Path(urlsplit(word).path).parent for word in words if word.startswith("file:///")]
    there = sorted({str(place) for place in (*files, *indexes) if place.exists()})
    return [f"{config}:/etc/pip.conf", *(f"{place}:{place}" for place in there)]


class Container:
    """A container that runs: its own network without a way out, its root read-only, /tmp in memory."""

    def __init__(self, root: Path, config: Mapping[str, Any], log: Path) -> None:
        self.root, self.config, self.log = root, config, log

    @contextmanager
    def running(self, *arguments: str, volumes: Mapping[Path, str], **variables: str) -> Iterator[Container]:
        script = self._script(volumes, [*self.config["Entrypoint"], *(arguments or self.config["Cmd"])])
        environment = dict(line.split("=", 1) for line in self.config["Env"]) | variables
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-ec", script],
                env=environment | {"HOST_PATH": os.environ["PATH"]},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield self
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def _script(self, volumes: Mapping[Path, str], command: list[str]) -> str:
        mounts = "\n".join(f"mount --bind {source} {self.root}{place}" for source, place in volumes.items())
        user, words = self.config["User"], shlex.join(command)
        return f"""
            inner=$PATH
            PATH=$HOST_PATH
            ip link set lo up
            mount --bind {self.root} {self.root}
            mount -t proc proc {self.root}/proc
            mount -t tmpfs tmpfs {self.root}/tmp
            {mounts}
            mount -o remount,ro,bind {self.root}
            exec chroot --userspec={user} {self.root} /usr/bin/env -u HOST_PATH PATH=$inner {words}
        """

    @cached_property
    def pid(self) -> int:
        """Of its first process, as this machine counts."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in range(START_S * 20):
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/root").readlink() != Path("/"):
                return int(found[0])
            time.sleep(0.05)
        raise AssertionError(f"it did not start: {self.log.read_text()}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of this machine, in the container's network."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", *command],
            capture_output=True,
            text=True,
            check=False,
        )

    def run_inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of the container's own, as its user: what a health check is."""
        enter = ("nsenter", "--target", self.pid, "--net", "--mount", "--pid", "--root", "--wd=/")
        user, _, group = self.config["User"].partition(":")
        who = (f"--setuid={user}", f"--setgid={group}")
        return _done(*enter, *who, "/usr/bin/env", "-i", *self.config["Env"], *command)

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(START_S)


@contextmanager
def mounted() -> Iterator[Path]:
    """The file system of a container made from the image."""
    name = _run(*BUILDAH, "from", IMAGE)
    try:
        yield Path(_run(*BUILDAH, "mount", name))
    finally:
        _run(*BUILDAH, "rm", name)


def _run(*command: object) -> str:
    done = _done(*command)
    assert done.returncode == 0, done
    return done.stdout.strip()


def _done(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
