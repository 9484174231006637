"""What the house style asks of a Python file: each rule reads one file and yields its problems."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

MOST_LINES = 600
MOST_CODE_LINES = 60
MOST_PARAMETERS = 5
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")

# Who may import which package from outside the standard library. A package not listed may not be imported.
HOMES = {
    "click": ["simulator/adapters/cli/"],
    "freezegun": ["simulator/testing/time_travel.py"],
    "granian": ["simulator/adapters/fast.py"],
    "httpx": ["simulator/testing/"],
    "hypothesis": ["simulator/strategies.py", "simulator/testing/seeds.py"],
    "faker": ["simulator/generate.py"],
    "flask": ["simulator/adapters/"],
    "jsonschema": ["simulator/contract/judge.py"],
    "jsonschema_rs": ["simulator/contract/"],
    "msgspec": ["simulator/"],
    "openapi_core": ["simulator/contract/judge.py"],
    "prometheus_client": ["simulator/adapters/metrics.py"],
    "pytest": ["simulator/testing/"],
    "requests": ["simulator/testing/"],
    "_pytest": ["simulator/testing/again.py"],
    "testcontainers": ["simulator/testcontainers.py"],
    "rich": ["simulator/adapters/cli/", "simulator/adapters/verdict_page.py"],
    "urllib3": ["simulator/testing/intercept.py"],
    "waitress": ["simulator/adapters/"],
    "werkzeug": ["simulator/adapters/"],
    "yaml": ["simulator/adapters/check.py", "simulator/assets.py", "simulator/testing/seeds.py"],
}

# Which resource area may call which other; an area is a file or a folder of simulator/resources/.
CALLS = {
    "batches": {"files"},
    "billing": {"clusters", "vms"},
    "internal": {"provider"},
    "provider": {"clusters", "vms"},
    "snapshots": {"vms"},
    "ssh_keys": {"vms"},
    "transfers": {"clusters", "vms"},
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file, its path relative to the repository."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def code_lines(self, function: Function) -> int:
        """The lines of a function's body, without its docstring, comments and empty lines."""
        body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
        if not body:
            return 0
        lines = self.lines[body[0].lineno - 1 : body[-1].end_lineno]
        return sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#"))


def sources(*folders: str) -> list[Source]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]


def everywhere(path: str) -> bool:
    return True


def in_simulator(path: str) -> bool:
    return path.startswith("simulator/")


def in_core(path: str) -> bool:
    return in_simulator(path) and not path.startswith(("simulator/adapters/", "simulator/testing/"))


def in_resources(path: str) -> bool:
    return path.startswith("simulator/resources/")


def not_the_command(path: str) -> bool:
    return in_simulator(path) and not path.startswith("simulator/adapters/cli/")


def file_is_short(source: Source) -> Iterator[str]:
    if len(source.lines) > MOST_LINES:
        yield f"{source.path} has {len(source.lines)} lines; {MOST_LINES} at most"


def functions_are_short(source: Source) -> Iterator[str]:
    for function in source.functions:
        count = source.code_lines(function)
        if count > MOST_CODE_LINES:
            yield f"{at(source, function)} {function.name} has {count} code lines; {MOST_CODE_LINES} at most"


def parameters_are_few(source: Source) -> Iterator[str]:
    for function in source.functions:
        count = parameter_count(function)
        if count > MOST_PARAMETERS and not is_command(function):
            yield f"{at(source, function)} {function.name} has {count} parameters; {MOST_PARAMETERS} at most"


def parameter_count(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in {"self", "cls"}:
        named = named[1:]
    return len(named) + len(arguments.kwonlyargs)


def is_command(function: Function) -> bool:
    """click hands a command one parameter per option."""
    calls = [decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in {"argument", "option"} for call in calls)


def name_says_something(source: Source) -> Iterator[str]:
    vague = VAGUE_NAMES.intersection(PurePosixPath(source.path).with_suffix("").parts)
    if vague:
        yield f"{source.path} is named {', '.join(sorted(vague))}; name what it holds"


def nothing_is_unfinished(source: Source) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string):
            yield f"{source.path}:{token.start[0]} is unfinished: {token.string}"


def exceptions_are_named(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and is_broad(node.type):
            yield f"{at(source, node)} catches everything; name the exceptions"


def is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(is_broad(item) for item in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"BaseException", "Exception"})


def nothing_is_printed(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{at(source, node)} prints; only the command line does"


def module_has_a_docstring(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield f"{source.path} has no docstring"


def packages_are_at_home(source: Source) -> Iterator[str]:
    for node, module in imported(source):
        package = module.partition(".")[0]
        if package == "simulator" or package in sys.stdlib_module_names:
            continue
        homes = HOMES.get(package, [])
        if not any(source.path.startswith(home) for home in homes):
            where = f"only {', '.join(homes)} may" if homes else "no file may"
            yield f"{at(source, node)} imports {package}; {where} (HOMES in {Path(__file__).name})"


def front_door_is_for_guests(source: Source) -> Iterator[str]:
    """`from simulator import Simulator` from within would go round the layers."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "simulator":
            names = [alias.name for alias in node.names if not alias.name.islower() or alias.name[0] == "_"]
            if names:
                yield f"{at(source, node)} imports {', '.join(names)} by the front door; import the module"


def areas_stand_alone(source: Source) -> Iterator[str]:
    area = PurePosixPath(source.path).with_suffix("").parts[2]
    for node, module in imported(source):
        other = module.removeprefix("simulator.resources.").partition(".")[0]
        if other != module.partition(".")[0] and other not in {area, *CALLS.get(area, ())}:
            yield f"{at(source, node)} imports {other}; {area} may not (CALLS in {Path(__file__).name})"


def imported(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "simulator.resources":
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module


def at(source: Source, node: ast.stmt | ast.expr | ast.ExceptHandler) -> str:
    return f"{source.path}:{node.lineno}"


@dataclass(frozen=True)
class Rule:
    check: Callable[[Source], Iterator[str]]
    applies: Callable[[str], bool]

    def problems(self, files: Iterable[Source]) -> list[str]:
        return [problem for file in files if self.applies(file.path) for problem in self.check(file)]


RULES = [
    Rule(file_is_short, everywhere),
    Rule(name_says_something, everywhere),
    Rule(nothing_is_unfinished, everywhere),
    Rule(module_has_a_docstring, in_simulator),
    Rule(functions_are_short, in_simulator),
    Rule(parameters_are_few, in_simulator),
    Rule(exceptions_are_named, in_core),
    Rule(nothing_is_printed, not_the_command),
    Rule(packages_are_at_home, in_simulator),
    Rule(front_door_is_for_guests, in_core),
    Rule(areas_stand_alone, in_resources),
]
