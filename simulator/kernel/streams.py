"""Chance from a seed: one stream per purpose, so that one more draw of one kind disturbs no other.

A stream is only a counter; the value is a hash of seed, purpose and count. A fork copies a few integers,
a saved state holds them as they are, and no platform or hash seed can change a value.
"""

from __future__ import annotations

from hashlib import blake2b

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Streams:
    """Everything random in a world."""

    def __init__(self, seed: int, counts: dict[str, int] | None = None) -> None:
        self.seed = seed
        self._counts = dict(counts or {})

    @property
    def counts(self) -> dict[str, int]:
        """How often each purpose has been drawn for: with the seed, all there is to know."""
        return dict(self._counts)

    def fork(self) -> Streams:
        return Streams(self.seed, self._counts)

    def number(self, purpose: str) -> int:
        """The next 256-bit number of a purpose."""
        count = self._counts.get(purpose, 0)
        self._counts[purpose] = count + 1
        return digest_number(f"{self.seed}\0{purpose}\0{count}")

    def below(self, purpose: str, limit: int) -> int:
        """A whole number from 0 to limit - 1 (the bias of the modulus is under 2**-190)."""
        return self.number(purpose) % limit

    def uuid(self, purpose: str) -> str:
        """A version 4 UUID in its usual 36 characters."""
        bits = self.number(purpose) & ((1 << 128) - 1)
        bits = bits & ~(0xF << 76) | 4 << 76
        text = f"{bits & ~(0x3 << 62) | 2 << 62:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def text(self, purpose: str, length: int, alphabet: str = BASE62) -> str:
        """Characters drawn from an alphabet (40 at the most: what a draw holds)."""
        return spell(self.number(purpose), length, alphabet)


def digest_number(text: str) -> int:
    """A 256-bit number that only the text decides."""
    return int.from_bytes(blake2b(text.encode(), digest_size=32).digest(), "big")


def spell(number: int, length: int, alphabet: str = BASE62) -> str:
    """A number as characters of an alphabet, least significant first."""
    characters = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        characters.append(alphabet[digit])
    return "".join(characters)
