"""The package's shape: arrows point one way, a library has one room, modules stay readable."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import stemwatch

ROOT = Path(stemwatch.__file__).parent
LONGEST = 300  # lines of a module
MOST_FLAT = 15  # modules in a room, its own rooms not counted
TO_BE_SPLIT: set[str] = set()

# What each room may import from. What is not named here (commands, service, operations, ...)
# stands above the rooms: it may import any of them, and none of them may import it.
GROUND = frozenset(
    {
        "codes",
        "errors",
        "heard",
        "job",
        "limits",
        "loopback",
        "media_types",
        "musical_keys",
        "patterns",
    }
    | {"private_file", "processes", "song_kinds", "tasks"}
)
ROOMS: dict[str, frozenset[str]] = {
    "codes": frozenset(),
    "errors": frozenset({"codes"}),
    "heard": frozenset(),
    "job": frozenset({"codes", "heard"}),
    "loopback": frozenset(),
    "media_types": frozenset(),
    "musical_keys": frozenset(),
    "patterns": frozenset(),
    "private_file": frozenset({"errors"}),
    "processes": frozenset(),
    "song_kinds": frozenset(),
    "tasks": frozenset(),
    "limits": frozenset({"codes", "errors"}),
    "lean_imports": frozenset(),
    "extras": frozenset({"errors"}),
    "log": frozenset({"lean_imports"}),
    "config": GROUND,
    "journal": GROUND,
    "disks": GROUND | {"journal"},
    "audio": GROUND | {"extras"},
    "outbox": GROUND | {"audio", "disks"},
    "stemsplit": GROUND | {"lean_imports"},
    "models": GROUND,
    "receiving": GROUND,
    "server": GROUND | {"audio", "extras", "models", "receiving"},
    "inbox": GROUND | {"audio", "disks", "journal", "log"},
    "workers": GROUND | {"inbox", "stemsplit", "journal", "outbox", "disks", "audio", "log"},
    "notices": GROUND | {"config", "outbox", "disks", "workers", "log", "extras"},
    "web": GROUND
    | {"config", "inbox", "journal", "outbox", "disks", "workers", "log", "extras", "receiving"},
}

LIBRARIES: dict[str, frozenset[str]] = {
    "watchdog": frozenset({"inbox"}),
    "httpx": frozenset({"stemsplit", "server", "models"}),
    "httpcore": frozenset({"stemsplit"}),
    "sqlite3": frozenset({"journal"}),
    "tenacity": frozenset({"workers"}),
    "yaml": frozenset({"config"}),
    "structlog": frozenset({"log"}),
    "av": frozenset({"audio"}),
    "mutagen": frozenset({"audio"}),
    "numpy": frozenset({"audio", "server", "models"}),
    "scipy": frozenset({"server"}),
    "openvino": frozenset({"server"}),
    "onnxruntime": frozenset({"server"}),
    "starlette": frozenset({"server", "web", "receiving"}),
    "uvicorn": frozenset({"server", "web"}),
    "h11": frozenset({"server", "web"}),
    "procrastinate": frozenset({"server"}),
    "psycopg": frozenset({"server"}),
    "psycopg_pool": frozenset({"server"}),
    "prometheus_client": frozenset({"web"}),
    "python_multipart": frozenset({"receiving"}),
    "apprise": frozenset({"notices"}),
    "click": frozenset({"cli", "commands", "ui"}),
    "rich": frozenset({"commands", "ui"}),
}


def _modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@cache
def _imported(path: Path) -> frozenset[str]:
    """Every dotted name that a module imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _inside(path: Path) -> Iterator[str]:
    """The rooms of the package that a module imports from, its own left out."""
    for name in _imported(path):
        parts = name.split(".")
        if parts[0] == "stemwatch" and parts[1:2] not in ([], ["__version__"], [_room(path)]):
            yield parts[1]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_below_itself(room: str) -> None:
    """`cli -> service -> workers, inbox -> stemsplit, journal, outbox, audio -> job, errors`."""
    paths = [path for path in _modules() if _room(path) == room]
    assert paths, f"there is no {room} any more: take it out of the table"
    wrong = {str(path): set(_inside(path)) - ROOMS[room] for path in paths}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_there_is_no_way_round_in_a_circle() -> None:
    """Also above the rooms, where anything may be combined with anything."""
    graph: dict[str, set[str]] = {}
    for path in _modules():
        graph.setdefault(_room(path), set()).update(_inside(path))
    _demand_no_circle(graph)


def test_within_workers_there_is_none_either() -> None:
    """`pool -> steps -> context -> pacing`: a step knows no lane, and a pause no song's step."""
    top, graph = ROOT / "workers", dict[str, set[str]]()
    for path in top.rglob("*.py"):
        part = path.relative_to(top).parts[0].removesuffix(".py")
        names = (name.split(".") for name in _imported(path))
        others = {name[2] for name in names if name[:2] == ["stemwatch", "workers"]}
        graph.setdefault(part, set()).update(others - {part})
    assert "context" in graph["steps"]
    assert "steps" in graph["pool"]
    _demand_no_circle(graph)


def _demand_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(" -> ".join(reversed(fault.args[1])))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_in_its_room_only(library: str) -> None:
    """So it can be replaced, and loaded late, in one place."""
    rooms = {_room(p) for p in _modules() if any(n.split(".")[0] == library for n in _imported(p))}
    assert rooms
    assert rooms <= LIBRARIES[library]


def test_frames_become_arrays_in_one_place() -> None:
    """PyAV's own way is sound for packed frames only: `audio.arrays` sees to that for all."""
    uses = [str(path.relative_to(ROOT)) for path in _modules() if "to_ndarray" in path.read_text()]
    assert uses == ["audio/arrays.py"]


def test_no_room_has_more_modules_than_fit_in_the_head() -> None:
    """At most 15 lie flat in a folder; what is more gets a room of its own."""
    flat = Counter(str(p.parent.relative_to(ROOT)) for p in _modules() if p.stem[0] != "_")
    assert {room: count for room, count in flat.items() if count > MOST_FLAT} == {}


def test_a_name_says_which_module_is_meant() -> None:
    """No two modules share one; a command may have the name of the operation that it calls."""
    names = Counter(p.stem for p in _modules() if p.stem[0] != "_" and _room(p) != "commands")
    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_stays_readable() -> None:
    """At most 300 lines; the ones that wait to be split are named, and nothing else is let in."""
    lines = {
        str(p.relative_to(ROOT)): p.read_text(encoding="utf-8").count("\n") for p in _modules()
    }
    assert {name for name, count in lines.items() if count > LONGEST} == TO_BE_SPLIT


def test_every_module_says_what_it_is_for() -> None:
    """Its docstring's first line names its one subject, in a sentence that ends there."""
    trees = {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in _modules()}
    first = {
        name: (ast.get_docstring(tree) or "").partition("\n")[0]
        for name, tree in trees.items()
        if tree.body
    }
    assert [name for name, line in first.items() if not line.endswith((".", ":", "?"))] == []
