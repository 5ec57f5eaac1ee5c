"""`reactor init`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from reactor.cli.client import ClientError

FIRST = """\
# Your first flow: when a request comes in, greet, and answer.
# Start the daemon:    reactor run
# Try it:              curl -d '{"name": "Ada"}' -H 'Content-Type: application/json' \\
#                           'http://127.0.0.1:8420/hooks/hello?wait'
# Then look at it:     reactor runs list
flow: hello
description: Greets whoever asks

when:                        # any of these starts a run
  - http: POST /hello        # POST to /hooks/hello

only_if: has(event.body.name)   # B: only then

do:                          # Y, then Z
  - id: greeting
    set:
      text: Hello, ${{ event.body.name }}!
  - call: log
    with:
      message: ${{ vars.text }}

output:                      # what ?wait answers
  text: ${{ vars.text }}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", nargs="?", default="flows", metavar="DIR", help="the directory (flows)")


def run(options: Any) -> int:
    directory = Path(options.directory)
    target = directory / "hello.yaml"
    if (directory / "__init__.py").exists():
        raise ClientError(
            f"{directory} is a Python package, not a place for flows; go to a folder of your own,"
            " or name another directory: reactor init DIR"
        )
    if target.exists():
        raise ClientError(f"{target} is there already; nothing was changed")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        target.write_text(FIRST, "utf-8")
    except OSError as error:
        raise ClientError(f"{directory}: {error.strerror or error}") from None
    flag = "" if options.directory == "flows" else f" --flows {shlex.quote(options.directory)}"
    print(f"{target} is your first flow. Start the daemon with: reactor run{flag}")
    print("Then, in a second terminal: curl -d '{\"name\": \"Ada\"}' -H 'Content-Type: application/json' \\")
    print("  'http://127.0.0.1:8420/hooks/hello?wait'")
    return 0
