"""`python -m tests.simulation FIRST [LAST]`: runs seeds; one seed prints its trace."""

from __future__ import annotations

import sys
import time

from tests.simulation.world import run_seed


def main() -> None:
    first = int(sys.argv[1])
    last = int(sys.argv[2]) if len(sys.argv) > 2 else first
    begun = time.monotonic()
    for seed in range(first, last + 1):
        world = run_seed(seed)
        if first == last:
            print("\n".join(world.trace))
    print(f"{last - first + 1} seeds without a violation in {time.monotonic() - begun:.1f} s")


main()
