"""The house keeps its storeys: what may import what, read from the source.

A module imports only from lower storeys and from its own room; rooms of one
storey do not know each other; each third-party library enters by its doors.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import attrs
import pytest

import rt_proxy

HOUSE = Path(rt_proxy.__file__).parent
TESTS = Path(__file__).parent

STOREYS = {
    "errors": 0,
    "fieldtypes": 0,
    "moments": 0,
    "settings": 0,
    "settingsrules": 0,
    "tomlvalues": 0,
    "realtime": 1,
    "tokens": 2,
    "channels": 2,
    "observe": 2,
    "usage": 2,
    "simulator": 2,
    "session": 3,
    "listener": 4,
    "configfile": 5,
    "configtypes": 5,
    "configwatch": 5,
    "simulated": 5,
    "client": 5,
    "clientturn": 5,
    "events": 5,
    "livecheck": 5,
    "proxy": 5,
    "settingsdiff": 5,
    "cli": 6,
}
#: Above all storeys: the public names, and ``python -m``.
ROOF = {"", "__main__"}
#: One idea in more than one module: inside a group a module may import another of its storey.
TOGETHER = [
    {"settings", "fieldtypes", "settingsrules"},
    {"configfile", "configtypes"},
    {"client", "clientturn"},
    {"proxy", "simulated"},
    {"livecheck", "simulated"},
]

#: By which modules each third-party library enters; a name that ends with a dot is a room.
DOORS = {
    "attrs": ("",),
    "trio": ("tokens.", "session.", "listener.", "simulator.", "usage.", "simulated", "client",
             "livecheck", "proxy", "cli."),
    "trio_websocket": ("session.wslegs",),
    "h11": ("listener.head", "listener.connectproxy"),
    "click": ("cli.",),
    "cattrs": ("realtime.codec", "configfile", "configtypes", "tokens.file"),
    "tomli_w": ("tokens.file", "cli.init"),
}  # fmt: skip

#: Rooms whose test modules are named by the module alone; in the others the room's name leads.
PLAIN_ROOMS = {"realtime", "session", "listener"}
#: Modules whose test module has another name than that.
TESTED_IN = {"settings": "settingsrules", "cli": "cli_main", "cli.signals": "cli_serve"}
TESTED_IN["listener.visit"] = "gate"
TESTED_IN |= {
    f"realtime.events.{module}": "events"
    for module in ("audio", "base", "beta", "client", "items", "output", "responses", "server",
                   "sessions", "tools", "transcripts")
}  # fmt: skip
#: Modules without a test module of their own, and why.
WITHOUT_TESTS = {
    "cli.help": "options and lines to paste, in the tests of the commands",
    "realtime.framerules": "each rule has a test of its own among those of the frame reader",
    "tomlvalues": "what a type is called, in the tests of the config and the token file",
    "cli.allowance": "budgets and limits as options and words, in the tests of `token`",
    "cli.outcome": "three exit statuses and one line of output, in the tests of every command",
}


@attrs.frozen
class Source:
    """One module: its dotted name below the package, and its syntax tree."""

    name: str
    tree: ast.Module = attrs.field(eq=False, repr=False)

    @property
    def room(self) -> str:
        """The package or top-level module that it belongs to."""
        return self.name.partition(".")[0]

    def imports(self) -> Iterator[str]:
        """Yield the full name of every module or member that is imported, wherever."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: an import relative to its place"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def own_imports(self) -> Iterator[str]:
        """Yield the imported modules of rt_proxy, by their names below the package."""
        for name in self.imports():
            package, _, below = name.partition(".")
            if package == "rt_proxy":
                while below not in NAMES:
                    below = below.rpartition(".")[0]
                yield below


def read_sources() -> dict[str, Source]:
    """Read every module of the package."""
    sources = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = Source(name, ast.parse(path.read_text(encoding="utf-8")))
    return sources


NAMES = read_sources()
SOURCES = list(NAMES.values())
each_module = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name or "top")


def test_every_module_has_a_storey() -> None:
    """No module stands outside of the house, and no storey is listed that is not there."""
    assert {source.room for source in SOURCES} - ROOF == set(STOREYS)


@each_module
def test_imports_go_down(source: Source) -> None:
    """A module imports from lower storeys and its own room; never up, never next door."""
    if source.room in ROOF:
        return
    storey = STOREYS[source.room]
    for imported in source.own_imports():
        room = NAMES[imported].room
        assert room not in ROOF, f"{source.name} imports the roof"
        neighbours = room == source.room or any({room, source.room} <= group for group in TOGETHER)
        assert neighbours or STOREYS[room] < storey, f"{source.name} imports {imported}"


def test_no_import_goes_in_a_circle() -> None:
    """No module imports itself by way of others; a package counts as its ``__init__`` alone."""
    graph = {source.name: set(source.own_imports()) - {source.name} for source in SOURCES}
    assert list(TopologicalSorter(graph).static_order())


@each_module
def test_libraries_enter_by_their_doors(source: Source) -> None:
    """A third-party library is imported only by the modules listed for it."""
    for imported in source.imports():
        library = imported.partition(".")[0]
        if library == "rt_proxy" or library in sys.stdlib_module_names:
            continue
        assert library in DOORS, f"{source.name} imports {library}, which has no door"
        assert any(
            f"{source.name}.".startswith(door) if door.endswith(".") else door in ("", source.name)
            for door in DOORS[library]
        ), f"{source.name} imports {library}"


@each_module
def test_nothing_is_imported_by_a_computed_name(source: Source) -> None:
    """No import escapes these tests: ``import_module`` and ``__import__`` are not used."""
    names = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}
    members = {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    banned = {"import_module", "__import__", "exec", "eval"}
    assert not banned & names
    assert not {"import_module", "__import__"} & members
    assert not any(name.endswith(".import_module") for name in source.imports())


@pytest.mark.parametrize(
    "source", [source for source in SOURCES if source.room == "realtime"], ids=lambda one: one.name
)
def test_the_language_is_pure(source: Source) -> None:
    """realtime/ neither waits nor looks at a clock, a file, a socket or the environment."""
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not any(isinstance(node, waits) for node in ast.walk(source.tree))
    outside = {
        "trio", "time", "datetime", "asyncio", "threading", "os", "io", "pathlib", "socket", "ssl",
        "logging", "random", "sys",
    }  # fmt: skip
    assert not outside & {name.partition(".")[0] for name in source.imports()}
    names = {
        node.id
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert not {"open", "print", "input"} & names


@each_module
def test_every_room_says_what_it_is(source: Source) -> None:
    """Each module opens with a docstring."""
    assert ast.get_docstring(source.tree)


def defines_something(source: Source) -> bool:
    """Whether a module has functions or classes, and does not only gather names."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, definitions) for node in source.tree.body)


@pytest.mark.parametrize(
    "source", list(filter(defines_something, SOURCES)), ids=lambda source: source.name
)
def test_every_module_has_its_tests(source: Source) -> None:
    """A module that defines anything has its test module, or a reason why not."""
    room, _, module = source.name.partition(".")
    usual = (module if module and room in PLAIN_ROOMS else source.name).replace(".", "_")
    tested = (TESTS / f"test_{TESTED_IN.get(source.name, usual)}.py").is_file()
    assert tested is not (source.name in WITHOUT_TESTS)


def test_no_exception_is_out_of_date() -> None:
    """What is listed as an exception is still there."""
    assert {*WITHOUT_TESTS, *TESTED_IN} <= set(NAMES)
    for doors in DOORS.values():
        assert {door.rstrip(".") for door in doors} <= set(NAMES)
