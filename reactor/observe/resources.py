"""Resources that run out: file descriptors, the disk, the memory limit. Each is told when it runs out and when it is
back, and counted."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

from reactor.contracts.facts import ResourceBack, ResourceExhausted
from reactor.contracts.observe import Observer

LOOK = 1.0
NEAR = 0.95
"""Share of the memory limit from which on it counts as reached: beyond, the kernel ends the process."""
CGROUP = Path("/sys/fs/cgroup")
STATM = Path("/proc/self/statm")


class Resources:
    """`health` is the store's: why it does not accept."""

    def __init__(self, observer: Observer, health: Callable[[], str | None], cgroup: Path = CGROUP) -> None:
        self._observer = observer
        self._health = health
        self._cgroup = cgroup
        self._out: set[str] = set()
        self._page = os.sysconf("SC_PAGE_SIZE")

    async def watch(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await sleep(LOOK)

    def look(self) -> None:
        for name, ask in (("disk", self._health), ("descriptors", _descriptors), ("memory", self._memory)):
            reason = ask()
            if reason is not None and name not in self._out:
                self._out.add(name)
                self._observer.observe(ResourceExhausted(resource=name, error=reason))
            elif reason is None and name in self._out:
                self._out.discard(name)
                self._observer.observe(ResourceBack(resource=name))

    def _memory(self) -> str | None:
        pages = _number(STATM)
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and pages is not None and pages * self._page >= limit * NEAR:
            return f"{pages * self._page:,} of {limit:,} bytes of address space (RLIMIT_AS) are used"
        used, most = _number(self._cgroup / "memory.current"), _number(self._cgroup / "memory.max")
        if used is not None and most is not None and used >= most * NEAR:
            return f"{used:,} of {most:,} bytes of the memory limit are used"
        return None


def _descriptors() -> str | None:
    """One more is opened and closed: counting them would cost more the more there are."""
    try:
        os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return None
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"all {limit:,} file descriptors are in use: no connection is taken and no file opened (ulimit -n)"
    return None


def _number(path: Path) -> int | None:
    """The first number of a file; None where there is no such limit, or no descriptor to read it with."""
    try:
        return int(path.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
