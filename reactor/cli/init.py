"""`reactor init`."""

from __future__ import annotations

import argparse
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
    if target.exists():
        raise ClientError(f"{target} is there already; nothing was changed")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        target.write_text(FIRST, "utf-8")
    except OSError as error:
        raise ClientError(f"{directory}: {error.strerror or error}") from None
    print(f"{target} is your first flow; run it with: reactor run --flows {directory}")
    return 0
