"""Cells that a spreadsheet would run."""

from __future__ import annotations

import pytest

from reactor.kit.formulas import csv_cell


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n@x", "-", "＝1", "+49 170 1", "\ufeff=1"],
)  # fmt: skip
def test_what_begins_like_a_formula_is_escaped(cell: str) -> None:
    assert csv_cell(cell) == f"'{cell}"
    assert csv_cell(cell, "keep") == cell


@pytest.mark.parametrize("cell", ["-5", "+5", "-1.5e-3", "-.5", "-1,5", "-1.234,56", " -7 ", "a=1", "", "'=1", "1-2"])
def test_numbers_and_other_text_stay(cell: str) -> None:
    assert csv_cell(cell) == cell
