"""`reactor sbom`: what is inside this executable, as CycloneDX."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from reactor.contracts.errors import ConfigError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--licences", action="store_true", help="the licence texts instead")


def run(options: Any) -> int:
    inside = getattr(sys, "_MEIPASS", None)
    if inside is None:
        raise ConfigError("only the executable has the list; from source, see requirements.lock")
    name = "NOTICES" if options.licences else "sbom.json"
    print((Path(inside) / "licences" / name).read_text("utf-8"), end="")
    return 0
