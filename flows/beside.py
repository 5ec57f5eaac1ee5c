"""Files that a flow names, such as JSON Schemas: their text belongs to the flow's version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flows.nodes import Node
from flows.report import Report


class FilesBeside:
    """Reads files below the flow's folder, each once. `work` is where relative paths of a run start; `texts` holds what
    was read, by name, and may be given beforehand for an old version."""

    __slots__ = ("_folder", "texts", "work")

    def __init__(self, folder: str, work: str | None = None, texts: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self.work = folder if work is None else work
        self.texts = dict(texts or {})

    def read(self, report: Report, node: Node, name: str) -> str | None:
        """The text of a file; None when it cannot be read, which is reported."""
        if name.startswith(("/", "\\")) or ".." in Path(name).parts:
            report.problem(node, f"{name} must stand under the flow's folder")
            return None
        if name in self.texts:
            return self.texts[name]
        try:
            text = (Path(self._folder) / name).read_text("utf-8")
        except OSError as error:
            report.problem(node, f"{name} cannot be read: {error.strerror or error}")
            return None
        except UnicodeDecodeError:
            report.problem(node, f"{name} is not UTF-8 text")
            return None
        self.texts[name] = text
        return text
