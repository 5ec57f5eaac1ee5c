"""CSV cells that a spreadsheet would run as a formula: the one rule for everything that writes CSV."""

from __future__ import annotations

import re
from typing import Literal

Formulas = Literal["escape", "keep"]

_FORMULA = re.compile("[\\s\0\ufeff]*[=+\\-@＝＋－＠]")
"""Spreadsheets pass over white space and control characters in front, and read the full-width characters too."""
_NUMBER = re.compile(r"\s*[+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may run the cell: it begins with `= + - @`, and it is not a number."""
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None


def csv_cell(cell: str, formulas: Formulas = "escape") -> str:
    """The cell as it is written: `'` stands before a formula, unless formulas are kept."""
    if cell[:1].isalnum():
        return cell
    return f"'{cell}" if formulas == "escape" and is_formula(cell) else cell
