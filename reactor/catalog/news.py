"""What may have changed among the flow files, and what may be wrong with their directories."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reactor.contracts.errors import ConfigError


class Unreadable(ConfigError):
    """A directory cannot hold flows, or nobody knows whether it does."""

    def __init__(self, directory: str | Path, message: str) -> None:
        super().__init__(message)
        self.directory = directory


@dataclass
class News:
    """What may have changed. `whole` looks everywhere, `again` reads files with problems again, `anew` all files."""

    whole: bool = False
    again: bool = False
    anew: bool = False
    files: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    """Of the files, those that were moved to their place and not written since."""

    def __bool__(self) -> bool:
        return self.whole or bool(self.files)
