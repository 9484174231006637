"""What is printed from the registries: the tables in the documentation, and the schema of scenario files.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. `python -m tests.support.tables --write`
prints everything again; without `--write` it says what is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.comparison import Measured, figure
from simulator import assets
from simulator.contract import Contract, OperationSpec
from simulator.dispatch import CREDENTIAL_KINDS
from simulator.domain.access import scopes_for
from simulator.domain.faults import SEAMS
from simulator.kernel.operation import Operation
from simulator.kernel.refusal import CODES
from simulator.kernel.settings import SETTINGS, expects
from simulator.registry import ACTIONS, AREAS, OPERATIONS
from simulator.scenario.schema import scenario_schema
from tests.support import sdk
from tests.support.reach import Documented, documented, read_exercised

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "docs/clients.md",
    "docs/faults.md",
    "docs/limits.md",
    "docs/reference.md",
    "docs/speed.md",
    "scenarios/README.md",
)
BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rows(head: Iterable[str], body: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *([str(cell) for cell in row] for row in body)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def operations() -> str:
    specs = Contract(assets.contract_document()).operations.values()
    known, tests = documented(), read_exercised()
    return rows(
        ("operation", "call", "area", "source", "scope", "effects", "answers", "tests"),
        (
            (
                f"`{spec.id}`",
                f"`{spec.method} {spec.path}`",
                row.area,
                known[spec.id].source,
                _scope(spec, row),
                row.effects,
                _answers(known[spec.id]),
                ", ".join(f"`{Path(file).stem}`" for file in tests.get(spec.id, ())),
            )
            for spec, row in ((spec, OPERATIONS[spec.id]) for spec in specs)
        ),
    )


def _answers(known: Documented) -> str:
    """The documented statuses; those of later versions in parentheses."""
    return " ".join([*map(str, known.first), *(f"({status})" for status in known.later)])


def _scope(spec: OperationSpec, row: Operation) -> str:
    """The scopes of which one opens the operation, as documented."""
    if spec.auth not in CREDENTIAL_KINDS:
        return "–" if spec.auth == "none" else "a provisioning token"
    if row.scope == "any":
        return "any key"
    return " or ".join(f"`{scope}`" for scope in sorted(scopes_for("documented", row.scope, write=row.write)))


def control() -> str:
    specs = Contract(assets.control_document()).operations.values()
    texts = {
        operation["operationId"]: operation["summary"]
        for item in assets.control_document()["paths"].values()
        for operation in item.values()
    }
    return rows(
        ("call", "takes", "does"),
        (
            (
                f"`{spec.method} {spec.path}`",
                ", ".join(f"`{name}`" for name in (*_query(spec), *sorted(_body(spec)))),
                texts[spec.id],
            )
            for spec in specs
        ),
    )


def _query(spec: OperationSpec) -> list[str]:
    return [f"?{parameter.name}" for parameter in spec.parameters]


def _body(spec: OperationSpec) -> frozenset[str]:
    return spec.body.fields or frozenset() if spec.body else frozenset()


def errors() -> str:
    return rows(
        ("code", "status", "meaning", "may have been carried out"),
        (
            (
                f"`{name if row.wire in ('', 'generic') else row.wire}`",
                row.status if isinstance(row.status, int) else f"setting `{row.status}`",
                row.meaning,
                "yes" if row.happened else "no",
            )
            for name, row in CODES.items()
        ),
    )


def settings() -> str:
    profiles = {name: assets.profile(name) for name in ("2026-07", "2026-10")}
    return rows(
        ("setting", "default (2026-06)", *profiles, "takes", "meaning"),
        (
            (
                f"`{key}`",
                _shown(row.default),
                *(_shown(values[key]) if values[key] != row.default else "" for values in profiles.values()),
                expects(row),
                row.meaning,
            )
            for key, row in SETTINGS.items()
            if key != "profile"
        ),
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else list(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def actions() -> str:
    return rows(
        ("action", "does", "takes"),
        (
            (f"`{name}`", row.meaning, ", ".join(f"`{field}`" for field in row.arguments.__struct_fields__))
            for name, row in ACTIONS.items()
        ),
    )


def faults() -> str:
    return rows(
        ("on", "fault", "does", "takes"),
        (
            (f"`{seam}`", f"`{name}`", _first_line(effect), _taken(effect))
            for seam, effects in SEAMS.items()
            for name, effect in effects.items()
        ),
    )


def _first_line(effect: type) -> str:
    """The whole first paragraph of a docstring, in one line."""
    return " ".join((effect.__doc__ or "").split("\n\n")[0].split())


def _taken(effect: type[msgspec.Struct]) -> str:
    """Its arguments, each with its default; one without has to be given."""
    return ", ".join(f"`{field.name}`{_default(field)}" for field in msgspec.structs.fields(effect))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required or field.default in ("", None):
        return ""
    return f" ({str(field.default).lower() if isinstance(field.default, bool) else field.default})"


def scenarios() -> str:
    return rows(
        ("name", "title"),
        (
            (f"[`{name}`]({name}.yaml)", assets.load_scenario(name)["title"])
            for name in assets.names("scenarios")
        ),
    )


def python_sdk() -> str:
    """The calls that the SDK and the contract both know, and those of a later surface, by area."""
    both, later = sdk.operations(), sdk.unknown_calls()
    areas = sorted({name.partition(".")[0] for name in (*both, *later)})
    return rows(
        ("area", "calls that both know, all tested", "not in the contract"),
        ((area, _calls(area, both), _calls(area, later)) for area in areas),
    )


def _calls(area: str, names: Iterable[str]) -> str:
    return ", ".join(f"`{name.partition('.')[2]}`" for name in names if name.startswith(f"{area}."))


def lifecycles() -> str:
    machines = [area.machine for area in AREAS if area.machine]
    return "\n".join(f"### {machine.name}\n\n```mermaid\n{machine.mermaid()}\n```\n" for machine in machines)


def behaviour() -> str:
    return rows(
        ("operation", "what it does here"),
        ((f"`{name}`", " ".join((row.function.__doc__ or "").split())) for name, row in OPERATIONS.items()),
    )


def speed() -> str:
    return rows(
        ("target", "ours / other", "ours", "other", "ratio", "bound"),
        (
            (
                row.target,
                row.what,
                f"{figure(row.ours)} {row.unit}",
                f"{figure(row.other)} {row.unit}",
                f"**{figure(row.ratio)}**" + (" missed" if row.missed else ""),
                "" if row.at_most is None else f"{row.at_most:.3g}",
            )
            for row in (Measured(**fields) for fields in _measured()["comparisons"])
        ),
    )


def growth() -> str:
    """Curves with the same numbers of things are one table."""
    curves = _measured()["curves"]
    tables = []
    for of in dict.fromkeys(curve["of"] for curve in curves):
        lines = [curve for curve in curves if curve["of"] == of]
        sizes = [f"{int(size):,} {of}" for size in lines[0]["points"]]
        body = (
            [line["what"], *(f"{figure(cost * 1e3)} ms" for cost in line["points"].values())]
            for line in lines
        )
        tables.append(rows(("", *sizes), body))
    return "\n".join(tables)


def _measured() -> dict[str, Any]:
    """The newest record of `make bench`."""
    record: dict[str, Any] = json.loads((ROOT / "docs" / "speed.json").read_text("utf-8"))
    return record


TABLES: dict[str, Callable[[], str]] = {
    "operations": operations,
    "control": control,
    "errors": errors,
    "settings": settings,
    "actions": actions,
    "behaviour": behaviour,
    "faults": faults,
    "scenarios": scenarios,
    "growth": growth,
    "lifecycles": lifecycles,
    "speed": speed,
    "python-sdk": python_sdk,
}


def scenario_schema_text() -> str:
    return json.dumps(scenario_schema(), indent=1, ensure_ascii=False) + "\n"


FILES: dict[str, Callable[[], str]] = {"simulator/scenario.schema.json": scenario_schema_text}
"""Files that are printed as a whole."""


def printed(name: str, text: str) -> str:
    """A file printed again: a whole one, or a document with its tables."""
    if name in FILES:
        return FILES[name]()
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def stale() -> dict[str, str]:
    """What is to be printed again, by name, as it would be fresh."""
    fresh = {}
    for name in (*DOCUMENTS, *FILES):
        path = ROOT / name
        text = path.read_text("utf-8") if path.exists() else ""
        if (now := printed(name, text)) != text:
            fresh[name] = now
    return fresh


def write() -> None:
    for name, text in stale().items():
        (ROOT / name).write_text(text, "utf-8")


def main() -> None:
    writing = "--write" in sys.argv
    for name in stale():
        print(f"{name}: {'printed again' if writing else 'stale; run make tables'}")
    if writing:
        write()


if __name__ == "__main__":
    main()
