"""`reactor check`: which files belong together, and hints for what people write by habit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONNECTION = "kind: http\nsettings: {url: 'http://127.0.0.1:1/'}\n"
USES = "flow: %s\nwhen: [{http: POST /%s}]\ndo: [{call: http.get, with: {connection: %s, url: /x}}]\n"


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reactor", "check", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "flows/connections/above.yaml": CONNECTION,
        "flows/shop/connections/own.yaml": CONNECTION,
        "flows/other/connections/beside.yaml": CONNECTION,
        "flows/other/connections/broken.yaml": "kind: nope\n",
        "flows/other/flow-b.yaml": "flow: b\nwhen: [manual]\ndo: [{call: nope}]\n",
        **{f"flows/shop/{name}.yaml": USES % (name, name, name) for name in ("above", "own", "beside")},
        "flows/shop/calls.yaml": "flow: calls\nwhen: [manual]\ndo: [{run: b}]\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "path", ["flows/shop", *(f"flows/shop/{name}.yaml" for name in ("above", "own", "beside", "calls"))]
)
def test_all_of_the_flows_directory_is_known(folder: Path, path: str) -> None:
    """Connections and flows above and beside are found, and their problems are not those of what is checked."""
    done = check(folder, path)
    assert done.returncode == 0 and ", 0 errors" in done.stderr, done.stdout
    done = check(folder / "flows" / "shop", str(folder / path))
    assert done.returncode == 0, done.stdout
    done = check(folder / "flows", path.removeprefix("flows/"))
    assert done.returncode == 0, done.stdout


def test_init_writes_no_flow_into_a_python_package(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("")
    command = [sys.executable, "-P", "-m", "reactor", "init"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "reactor init my-flows" in done.stderr
    assert not (tmp_path / "flows" / "hello.yaml").exists()
    done = subprocess.run([*command, "my-flows"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "my-flows" / "hello.yaml").exists()


def test_without_a_path_it_is_the_directory_flows(folder: Path) -> None:
    done = check(folder)
    assert done.returncode == 1 and "5 flows, 2 errors" in done.stderr, done.stdout + done.stderr
    assert "flows/other/connections/broken.yaml" in done.stdout
    done = check(folder / "flows" / "shop")
    assert done.returncode == 1 and "there is no directory ./flows" in done.stderr, done.stderr
