"""`python -m reactor`, the `reactor` script and the frozen executable all come in here."""

from __future__ import annotations

import sys


def main() -> int:
    from reactor.cli import main as command_line

    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
