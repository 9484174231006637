"""Brings into the manual what lies outside docs/: pages, and the files that pages point at.

A file of the repository has its own path in the site, without a leading `docs/`, so that a link is right in
both places. The code that a page of examples/ points at stands at its end.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?://|#)([^)#\s]+)([^)\s]*)")
"""A link to a file: its path, and the rest."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the navigation, and every file that a page leads to."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    waiting += [page for page in _pages(config["nav"]) if files.get_file_from_path(page) is None]
    seen = set(waiting)
    for path in waiting:  # it grows
        if files.get_file_from_path(_place(path)) is None:
            files.append(File.generated(config, _place(path), abs_src_path=str(ROOT / path)))
        found = _linked(path) if path.endswith(".md") else ()
        fresh = [target for target in found if target not in seen]
        waiting += fresh
        seen.update(fresh)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    path = _source(page.file)
    code = "".join(_shown(target) for target in dict.fromkeys(_linked(path)) if target.endswith(".py"))
    pointed = LINK.sub(lambda link: _link(path, link[1]) + link[2], markdown)
    return pointed + (f"\n\n## The files\n{code}" if code and path.startswith("examples/") else "")


def _pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(each)


def _place(path: str) -> str:
    """Where a file of the repository is in the site."""
    return path.removeprefix("docs/")


def _source(file: Any) -> str:
    """The path of a page in the repository."""
    return Path(file.abs_src_path).relative_to(ROOT).as_posix()


def _target(path: str, link: str) -> str | None:
    """The file of the repository that a link on a page means."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    if (ROOT / target).is_dir():
        target = f"{target}/README.md"
    return target if (ROOT / target).is_file() else None


def _linked(path: str) -> list[str]:
    text = (ROOT / path).read_text("utf-8")
    return [target for link in LINK.finditer(text) if (target := _target(path, link[1]))]


def _link(path: str, link: str) -> str:
    target = _target(path, link)
    return link if target is None else posixpath.relpath(_place(target), posixpath.dirname(_place(path)))


def _shown(path: str) -> str:
    return f"\n### `{path}`\n\n```python\n{(ROOT / path).read_text('utf-8')}```\n"
