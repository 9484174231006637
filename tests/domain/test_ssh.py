"""SSH public keys: what is one, and how it is written down."""

from __future__ import annotations

import pytest

from simulator.domain.ssh import canonical
from simulator.kernel.refusal import Refusal
from tests.support.people import FINGERPRINTS, LINES

KIND, MATERIAL, *COMMENT = LINES["ed25519"].split()


@pytest.mark.parametrize("name", LINES)
def test_a_key_keeps_its_line_and_has_the_fingerprint_that_ssh_keygen_shows(name: str) -> None:
    assert canonical(LINES[name]) == (LINES[name], FINGERPRINTS[name])


@pytest.mark.parametrize(
    "line",
    [
        f"  {KIND} {MATERIAL} ada laptop\n",
        f"{KIND}\t{MATERIAL}   ada \t laptop",
        f"{KIND} {MATERIAL} ada laptop\r\n",
    ],
)
def test_space_around_the_parts_does_not_matter(line: str) -> None:
    assert canonical(line)[0] == LINES["ed25519"]


def test_spare_bits_of_the_base64_do_not_matter() -> None:
    """`9=` and `8=` are the same bytes: one key, written in one way."""
    assert canonical(LINES["nistp256"].replace("8= ", "9= ")) == canonical(LINES["nistp256"])


def test_a_comment_may_be_absent_or_of_any_script() -> None:
    assert canonical(f"{KIND} {MATERIAL}")[0] == f"{KIND} {MATERIAL}"
    assert canonical(f"{KIND} {MATERIAL} аня@ноутбук")[1] == FINGERPRINTS["ed25519"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        " \n",
        KIND,
        MATERIAL,
        f"{MATERIAL} {KIND}",
        f"{KIND} {MATERIAL}\n{KIND} {MATERIAL}",
        f"{KIND} {MATERIAL} a\x00b",
        f"{KIND} {MATERIAL} a\u2028b",
        f"no-pty {KIND} {MATERIAL}",
        f"ssh-dss {MATERIAL}",
        f"ssh-rsa {MATERIAL}",
        f"{KIND} {MATERIAL[:-4]}",
        f"{KIND} {MATERIAL}AAAA",
        f"{KIND} {MATERIAL[:-1]}*",
        f"{KIND} {MATERIAL[:28]}",
        f"{KIND} AAAAC3NzaC1lZDI1NTE5AAAAAA==",
        f"{KIND} {'A' * 100_000}",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ключ ключ",
    ],
)
def test_anything_else_is_no_key(line: str) -> None:
    with pytest.raises(Refusal) as refusal:
        canonical(line)
    assert refusal.value.code == "INVALID_KEY"
    assert len(refusal.value.message) < 250
