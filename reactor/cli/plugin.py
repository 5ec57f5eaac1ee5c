"""`reactor plugin`."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import re
import sys
from pathlib import Path
from typing import Any

from reactor.cli.client import Client, ClientError, add_server, show_json, table

KITS = {
    "python": ("reactor_plugin.py",), "node": ("reactor-plugin.mjs", "reactor-plugin.d.mts"), "go": ("reactor.go",),
    "php": (), "ruby": (), "shell": (),
}  # fmt: skip
"""Languages, and the files of the kit that go into the plugin's folder."""
GRPC = {
    "python": {
        "reactor_plugin_grpc.py": "kits/python/reactor_plugin_grpc.py",
        "requirements.txt": "kits/python/requirements.txt", "plugin_pb2.py": "pb/plugin_pb2.py",
    },
    "node": {
        "reactor-plugin-grpc.mjs": "kits/node/reactor-plugin-grpc.mjs", "package.json": "kits/node/package.json",
        "plugin.proto": "pb/plugin.proto",
    },
    "go": {
        "reactor_grpc.go": "kits/go/grpc/reactor_grpc.go",
        "go.mod": "kits/go/grpc/go.mod", "go.sum": "kits/go/grpc/go.sum",
        "pb/plugin.pb.go": "kits/go/grpc/pb/plugin.pb.go", "pb/plugin_grpc.pb.go": "kits/go/grpc/pb/plugin_grpc.pb.go",
    },
}  # fmt: skip
"""What is needed beside them to speak gRPC, and where it is."""
NEXT = {"go": "build it: (cd {folder} && go build -o plugin .), then "}
NEXT_GRPC = {
    "python": "install its packages: python3 -m pip install -r {folder}/requirements.txt, then ",
    "node": "install its packages: (cd {folder} && npm install), then ",
    "go": "build it: (cd {folder} && go build -o plugin .), then ",
}


def add(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="a plugin that works, to be changed")
    new.add_argument("name", metavar="NAME", help="its name: a-z, 0-9 and _")
    new.add_argument("--language", required=True, choices=sorted(KITS), help="what it is written in")
    new.add_argument(
        "--protocol", choices=["jsonrpc", "grpc"], help="for python, node and go; jsonrpc, which needs no packages"
    )
    new.add_argument("--directory", default="plugins", help="where its folder is made (plugins)")
    check = commands.add_parser("check", help="runs the conformance suite against a plugin")
    check.add_argument("folder", metavar="FOLDER", help="the folder with its plugin.yaml")
    test = commands.add_parser("test", help="calls an action once, or prints a trigger's first events")
    test.add_argument("folder", metavar="FOLDER", help="the folder with its plugin.yaml")
    test.add_argument("kind", metavar="NAME", help="an action or a trigger of it")
    test.add_argument("--input", default="{}", help="the options, as JSON")
    test.add_argument("--events", type=int, default=1, help="how many events of a trigger")
    for name, text in (("list", "plugins of the daemon and their health"), ("show", "one of them in full")):
        one = commands.add_parser(name, help=text)
        if name == "show":
            one.add_argument("name", metavar="NAME")
        add_server(one)


def run(options: Any) -> int:
    if options.command == "new":
        return _new(options)
    if options.command in ("check", "test"):
        return _bench(options)
    items = Client(options).get("/api/v1/plugins")["items"]
    if options.command == "show":
        found = [item for item in items if item["name"] == options.name]
        if not found:
            raise ClientError(
                f"there is no plugin {options.name}; there is {', '.join(i['name'] for i in items) or 'none'}"
            )
        show_json(found[0])
    elif options.json:
        show_json({"items": items})
    else:
        rows = [
            [
                item["name"], item["version"], item["state"], len(item["actions"]), len(item["triggers"]),
                item["restarts"], item["error"],
            ]
            for item in items
        ]  # fmt: skip
        table(rows, ["PLUGIN", "VERSION", "STATE", "ACTIONS", "TRIGGERS", "RESTARTS", "ERROR"])
    return 0


def _new(options: Any) -> int:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", options.name):
        raise ClientError(f"{options.name!r} is no name of a plugin: a-z, 0-9 and _, beginning with a letter")
    if options.protocol is not None and options.language not in GRPC:
        raise ClientError(f"--protocol is for {', '.join(sorted(GRPC))}: {options.language} has the protocol script")
    folder = Path(options.directory) / options.name
    if folder.exists():
        raise ClientError(f"{folder} is already there")
    kit = importlib.resources.files("plugins") / "kits" / options.language
    folder.mkdir(parents=True)
    for file in (kit / "template").iterdir():
        (folder / file.name).write_text(file.read_text("utf-8").replace("NAME", options.name), "utf-8")
    for name in KITS[options.language]:
        (folder / name).write_text((kit / name).read_text("utf-8"), "utf-8")
    if options.protocol == "grpc":
        _speak_grpc(folder, options.language)
    print(folder)
    hint = NEXT_GRPC[options.language] if options.protocol == "grpc" else NEXT.get(options.language, "")
    hint = hint.format(folder=folder)
    print(f"{hint}try it: reactor plugin test {folder} double --input '{{\"value\": 21}}'", file=sys.stderr)
    return 0


def _speak_grpc(folder: Path, language: str) -> None:
    plugins = importlib.resources.files("plugins")
    for name, source in GRPC[language].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((plugins / source).read_text("utf-8").replace("NAME", folder.name), "utf-8")
    manifest = folder / "plugin.yaml"
    manifest.write_text(manifest.read_text("utf-8").replace("protocol: jsonrpc", "protocol: grpc", 1), "utf-8")


def _bench(options: Any) -> int:
    import anyio

    from plugins.host.manifest import ManifestError
    from reactor.contracts.errors import NotConnected, StepFailed

    work = _check if options.command == "check" else _test
    try:
        return anyio.run(work, options)
    except ManifestError as error:
        raise ClientError("\n".join(error.problems)) from None
    except NotConnected as error:
        raise ClientError(str(error)) from None
    except StepFailed as error:
        print(f"reactor: {error.type}: {error}", file=sys.stderr)
        return 1


async def _check(options: Any) -> int:
    import anyio

    from plugins.host.bench import bench
    from plugins.host.manifest import load_manifest
    from reactor.contracts.errors import NotConnected
    from reactor.kit.json_schema import compile_schema
    from reactor.testing.plugin_suite import CHECKS, LIMIT

    folder = Path(options.folder)
    manifest, _ = load_manifest(folder)
    failed = 0
    specs: list[tuple[str, Any]] = [*manifest.actions.items(), *manifest.triggers.items()]
    for name, spec in specs:
        try:
            compile_schema(spec.options)
        except ValueError as error:
            failed += 1
            print(f"FAILED  the options of {name} are no JSON Schema: {error}")
    for name, check in CHECKS.items():
        heard: list[str] = []
        problem: str | None = None
        try:
            with anyio.fail_after(LIMIT):
                async with bench(folder, heard.append) as made:
                    try:
                        await check(made)
                    except AssertionError as error:
                        problem = str(error)
        except TimeoutError:
            problem = f"it did not end in {LIMIT:g} s"
        except NotConnected as error:
            problem = str(error)
        if problem is None:
            print(f"ok      {name}")
        else:
            failed += 1
            print(f"FAILED  {name}: {problem}")
            for line in heard[-12:]:
                print(f"        | {line}")
    print(f"{len(CHECKS)} checks, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


async def _test(options: Any) -> int:
    from plugins.host.bench import bench

    try:
        given = json.loads(options.input)
    except ValueError as error:
        raise ClientError(f"--input is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise ClientError("--input is a JSON object")
    async with bench(Path(options.folder), lambda line: print(line, file=sys.stderr)) as made:
        name = options.kind.rpartition(".")[2]
        if name in made.manifest.actions:
            show_json(await made.act(name, _checked(made.manifest.actions[name], given)))
        elif name in made.manifest.triggers:
            given = _checked(made.manifest.triggers[name], given)
            await made.show(name, given, options.events, lambda event: print(json.dumps(event, ensure_ascii=False)))
        else:
            there = ", ".join((*made.manifest.actions, *made.manifest.triggers))
            raise ClientError(f"{made.manifest.plugin} brings no {name}; it brings {there}")
    return 0


def _checked(spec: Any, given: dict[str, Any]) -> dict[str, Any]:
    """As a flow's options are: checked, and with their defaults."""
    import msgspec

    from plugins.host.options import given_options, options_struct
    from reactor.kit.json_schema import compile_schema

    try:
        found = given_options(msgspec.convert(given, options_struct("Options", spec.options)))
    except msgspec.ValidationError as error:
        raise ClientError(f"--input does not fit: {error}") from None
    problems = compile_schema(spec.options).problems(found) if spec.options else []
    if problems:
        raise ClientError(f"--input does not fit: {'; '.join(problems[:5])}")
    return found
