"""What a connection of the kind mysql lends, as far as the trigger uses it."""

from __future__ import annotations

from typing import Any, Protocol

from reactor.kit.sql import Database


class Kind(Protocol):
    def settings(self) -> dict[str, Any]:
        """For a connection of one's own, as pymysql takes them."""
        ...


class MysqlDatabase(Database, Protocol):
    @property
    def kind(self) -> Kind: ...

    @property
    def database(self) -> str:
        """The schema of names without one."""
        ...
