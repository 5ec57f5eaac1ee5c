"""`python -m reactor`, the `reactor` script and the frozen executable all come in here."""

from __future__ import annotations

import os
import sys

PR_SET_PDEATHSIG = 1


def _die_with_the_bootloader() -> None:
    """The one-file executable is two processes: when the visible one is killed, this one must not live on and keep
    the data directory (prctl(2))."""
    if getattr(sys, "frozen", False) and sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _open_descriptors() -> None:
    """Where 0, 1 or 2 are closed, the next file or socket would get that number, and what is printed would go there."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def main() -> int:
    _open_descriptors()
    _die_with_the_bootloader()
    if getattr(sys, "frozen", False):
        from reactor.process.temporary import own_unpacked

        own_unpacked()
    from reactor.cli import main as command_line

    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
