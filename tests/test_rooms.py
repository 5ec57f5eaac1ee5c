"""Who may import whom: every import is read, any other arrow fails."""

from __future__ import annotations

import ast
import re
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
        "reactor.lending", "reactor.observe", "reactor.router", "reactor.server", "reactor.__version__", "plugins.host",
        "flows",
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
PURE = ("machine.py", "policy.py", "ending.py", "state.py", "retry.py", "step_tree.py", "verbs.py", "steps/")
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


def test_the_machine_reads_nothing_but_its_arguments() -> None:
    for path in (ROOT / "reactor/engine").rglob("*.py"):
        relative = str(path.relative_to(ROOT / "reactor/engine"))
        if not relative.startswith(PURE):
            continue
        assert not IMPURE.intersection(name.split(".")[0] for name in imports(path)), path
        assert not any(
            isinstance(node, (ast.Await, ast.AsyncFunctionDef)) for node in ast.walk(ast.parse(path.read_text()))
        ), path


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
