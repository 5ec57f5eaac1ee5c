"""Who may import whom: every import is read, any other arrow fails."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, tuple[str, ...]] = {
    "reactor/contracts": (),
    "reactor/kit": ("reactor.contracts",),
    "reactor/kinds": ("reactor.contracts",),
    "reactor/secrets": ("reactor.contracts",),
    "reactor/router": ("reactor.contracts", "reactor.kit"),
    "reactor/engine": ("reactor.contracts", "reactor.kit", "reactor.secrets"),
    "reactor/store": ("reactor.contracts", "reactor.kit"),
    "reactor/observe": ("reactor.contracts", "reactor.kit"),
    "reactor/lending": ("reactor.contracts", "reactor.kit", "reactor.secrets", "flows"),
    "reactor/catalog": ("reactor.contracts", "reactor.kit", "reactor.process", "reactor.router", "flows"),
    "reactor/process": ("reactor.contracts", "reactor.kit", "flows"),
    "reactor/operations": (
        "reactor.contracts", "reactor.kit", "reactor.kinds", "reactor.catalog", "reactor.config", "reactor.engine",
        "reactor.lending", "reactor.observe", "reactor.process", "reactor.router", "reactor.server", "reactor.__version__",
        "plugins.host",
    ),
    "reactor/upkeep": (
        "reactor.contracts", "reactor.kit", "reactor.config", "reactor.catalog", "reactor.lending", "reactor.process",
        "reactor.router", "reactor.store", "plugins.survivors", "flows",
    ),
    "reactor/testing": ("reactor.contracts", "reactor.kit", "reactor.kinds", "reactor.engine", "flows.nodes"),
    "reactor/server": ("reactor.contracts", "reactor.kit"),
    "reactor/cli": ("reactor", "flows", "triggers", "plugins.host"),
    "reactor/config.py": ("reactor.contracts", "reactor.kit", "reactor.process"),
    "reactor/__init__.py": (),
    "reactor/__main__.py": ("reactor.cli", "reactor.process"),
    "reactor/app.py": ("reactor", "flows", "triggers", "plugins"),
    "flows": ("reactor.contracts", "reactor.kit"),
    "triggers": ("reactor.contracts", "reactor.kit"),
    "plugins": ("reactor.contracts", "reactor.kit", "reactor.__version__"),
}  # fmt: skip
"""Rooms, and what each may import besides itself. Only `app.py` knows them all."""
PURE = (
    "machine.py", "entries.py", "phases.py", "policy.py", "ending.py", "state.py", "snapshot.py", "run_state.py", "restore.py", "retry.py", "step_tree.py", "verbs.py",
    "steps/",
)  # fmt: skip
IMPURE = {"time", "random", "uuid", "anyio", "asyncio", "trio", "logging", "os", "socket", "secrets"}


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [
                f"{node.module}.{alias.name}" if node.module == "reactor" else node.module for alias in node.names
            ]
    return found


def sources() -> list[Path]:
    """All Python files of the four packages, as paths below the root."""
    return sorted(
        path.relative_to(ROOT)
        for package in ("reactor", "flows", "triggers", "plugins")
        for path in (ROOT / package).rglob("*.py")
        if "kits" not in path.parts
    )


def room_of(path: Path) -> str | None:
    """The innermost room of a file."""
    own = [room for room in ALLOWED if path == Path(room) or Path(room) in path.parents]
    return max(own, key=len, default=None)


def test_every_file_is_in_a_room() -> None:
    assert [str(path) for path in sources() if room_of(path) is None] == []


def test_only_the_allowed_arrows() -> None:
    wrong = []
    count = 0
    for path in sources():
        room = room_of(path)
        assert room is not None
        allowed = (*ALLOWED[room], room.removesuffix(".py").replace("/", "."))
        for name in imports(ROOT / path):
            if name.split(".")[0] not in ("reactor", "flows", "triggers", "plugins"):
                continue
            count += 1
            if not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed):
                wrong.append(f"{path} imports {name}")
    assert count > 300
    assert not wrong, "\n".join(wrong)


def test_the_page_shows_the_same_arrows() -> None:
    page = (ROOT / "reactor" / "docs" / "architecture.md").read_text("utf-8")
    table = page[page.index("| room | may import |") :].partition("\n\n")[0]
    shown = {}
    for line in table.splitlines()[2:]:
        room, arrows = line.strip("| ").split(" | ")
        shown[room.strip("`")] = tuple(re.findall(r"`([^`]+)`", arrows))
    assert shown == ALLOWED


def modules() -> dict[str, Path]:
    """All modules of the four packages by their names; a package has the name of its folder."""
    named = {path.with_suffix("").parts: path for path in sources()}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for parts, path in named.items()}


def imported(path: Path, known: Collection[str]) -> set[str]:
    """The modules that a file imports, wherever in it, also in its functions: an import that is put off does not make
    two modules one any less. Not counted: what stands under `if TYPE_CHECKING`, and the packages above a module."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse((ROOT / path).read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in submodules}
        waiting += ast.iter_child_nodes(node)
    return found.intersection(known)


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The groups of names of which each reaches each other one."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = set(graph[waiting.pop()]) - found
            found |= new
            waiting += new
        return found

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    found = circles({name: imported(path, known) - {name} for name, path in known.items()})
    assert not found, "\n".join(" and ".join(circle) for circle in found)


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"f"}, "f": {"e", "a"}}
    assert circles(graph) == [["b", "c"], ["e", "f"]]


def test_the_machine_reads_nothing_but_its_arguments() -> None:
    for path in (ROOT / "reactor/engine").rglob("*.py"):
        relative = str(path.relative_to(ROOT / "reactor/engine"))
        if not relative.startswith(PURE):
            continue
        assert not IMPURE.intersection(name.split(".")[0] for name in imports(path)), path
        assert not any(
            isinstance(node, (ast.Await, ast.AsyncFunctionDef)) for node in ast.walk(ast.parse(path.read_text()))
        ), path


def test_the_wiring_is_in_short_parts() -> None:
    tree = ast.parse((ROOT / "reactor/app.py").read_text("utf-8"))
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(lengths) > 15
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


def test_parts_get_what_they_need_when_they_are_made() -> None:
    """Nothing but plain values is put into a part later: a part that exists is complete."""
    late = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((ROOT / "reactor/app.py").read_text("utf-8")))
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) != "self"
    ]
    assert late == []


def test_modules_stay_small() -> None:
    large = {}
    for room in ("reactor", "flows", "triggers", "plugins"):
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text("utf-8").splitlines())
            if lines > 500:
                large[str(path)] = lines
    assert not large


def test_the_top_level_holds_only_what_is_planned() -> None:
    import subprocess

    names = {
        line.split("/")[0] for line in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    }
    planned = {
        "pyproject.toml", "README.md", "Makefile", "reactor", "triggers", "flows", "plugins", "proto", "build", "tests",
        "examples", "requirements.lock", "LICENSE", "CONTRIBUTING.md",
    }  # fmt: skip
    assert {name for name in names if not name.startswith(".")} <= planned


def test_actions_reach_files_by_descriptors_alone() -> None:
    """Where a path goes is decided, and a file opened, in one place: `plugins/actions/_place.py`."""
    taken = {
        "glob", "iterdir", "mkdir", "read_bytes", "read_text", "rglob", "symlink_to", "touch", "write_bytes", "write_text",
        "unlink", "rename", "rmdir", "copyfile", "copy2", "move", "rmtree",
    }  # fmt: skip
    wrong = []
    for path in (ROOT / "plugins/actions").glob("*.py"):
        if path.name in ("_place.py", "_listing.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                wrong += [f"{path.name} imports {name}" for name in names if name in ("tempfile", "glob")]
            elif isinstance(node, ast.Call):
                called = node.func
                if isinstance(called, ast.Name) and called.id == "open":
                    wrong.append(f"{path.name}:{node.lineno} opens a file")
                elif isinstance(called, ast.Attribute) and called.attr in taken:
                    by_descriptor = any(keyword.arg and keyword.arg.endswith("dir_fd") for keyword in node.keywords)
                    wrong += [] if by_descriptor else [f"{path.name}:{node.lineno} calls {called.attr}"]
    assert not wrong, "\n".join(wrong)
