"""Saved states on disk: written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from errno import EACCES, EINVAL
from pathlib import Path


def check_place(path: Path) -> None:
    """Raises OSError where no file could be written, before there is something to lose."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no plain file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(EACCES, f"no file can be written in {path.parent}")


def write_whole(path: Path, content: bytes) -> None:
    """The file holds what it held before, or the new content, whatever happens on the way. Only its owner may
    read it: it may hold secrets."""
    path = path.resolve()
    check_place(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
