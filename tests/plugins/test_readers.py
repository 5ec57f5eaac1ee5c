"""What readers take: bounds, byte order marks, charsets, and where something is wrong."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plugins.actions import archive, text
from plugins.actions import csv as csv_actions
from plugins.actions import file as actions
from plugins.actions import json as json_actions
from plugins.actions import xml as xml_actions
from plugins.actions import yaml as yaml_actions
from plugins.actions._csv import MAX_CELL, MAX_COLUMNS, MAX_ROW
from plugins.actions._decode import MAX_ITEM
from plugins.actions._items import MAX_TAG
from plugins.actions._place import Place
from plugins.actions._yaml import MAX_VALUES
from reactor.kit.xml import MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS
from tests.plugins.test_file import call, context
from tests.plugins.test_items import fails

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024


@contextmanager
def within(size: int) -> Iterator[None]:
    """What happens inside takes no more memory than so many bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def laughs(levels: int, merge: bool = False) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}" if merge else "a0: &a0 [lol, lol]"]
    for level in range(1, levels):
        below = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{below}]}}" if merge else f"[{below}]"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("merge", [False, True])
async def test_yaml_aliases_are_counted_as_what_they_stand_for(tmp_path: Path, merge: bool) -> None:
    (tmp_path / "a.yaml").write_text(laughs(9, merge))
    assert len(laughs(9)) < 500
    with within(8 * MIB):
        said = await fails("limit", yaml_actions.Read, context(tmp_path), path="a.yaml")
    assert "document 1: aliases stand for more than 10,000 values" in said
    (tmp_path / "b.yaml").write_text("--- fine\n---\n" + laughs(4, merge))
    assert (await call(yaml_actions.Read, context(tmp_path), path="b.yaml"))["count"] == 2
    (tmp_path / "c.yaml").write_text("a: &a [*a]\n")
    assert "*a is inside the value" in await fails("file.content", yaml_actions.Read, context(tmp_path), path="c.yaml")


@pytest.mark.parametrize(
    ("held", "type", "said"),
    [
        ("[" * 101 + "]" * 101, "limit", "nested more than 100 deep"),
        ("[" * 5000, "limit", "nested more than 100 deep"),
        ("a: &a " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*a" + "]" * 60, "limit", "nested more than 100 deep"),
        ("[" + "x," * (MAX_VALUES + 1) + "]", "limit", "more than 100,000 values"),
        ("a: &a " + "x" * 2000 + "\nb: [" + "*a," * 9000 + "]", "limit", "more than 16 MiB"),
        ("a: 2024-02-31", "file.content", "day is out of range"),
        ("a: " + "9" * 5000, "file.content", "4300 digits"),
        ("a: [", "file.content", "line 2, column"),
        ("a: 1\n" + "# comment\n" * 4_000_000, "limit", "a document has more than 33,554,432 bytes"),
        ("a: *b", "file.content", "undefined alias"),
        ("a: \x01", "file.content", "control characters are not allowed"),
        ("? [1]\n: 2", "file.content", "unhashable key"),
    ],
)  # fmt: skip
async def test_yaml_bounds(tmp_path: Path, held: str, type: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(held)
    assert said in await fails(type, yaml_actions.Read, context(tmp_path), path="a.yaml")


def test_yaml_bound_is_that_of_flow_files() -> None:
    from flows.nodes import MAX_NODES
    from plugins.actions._yaml import MAX_ALIASED

    assert MAX_ALIASED == MAX_NODES


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("<a>" + "<b>" * (MAX_DEPTH + 1), "nested more than 100 deep"),
        ("<a><b " + " ".join(f"x{n}=''" for n in range(MAX_ATTRIBUTES + 1)) + "/></a>", "more than 1,000 attributes"),
        ("<a><b>" + "<c/>" * MAX_ELEMENTS + "</b></a>", "more than 100,000 elements"),
        ("<a><b>" + "x" * (MAX_ITEM + 1) + "</b></a>", "more than 16,777,216 characters"),
        ("<a><b " + "x" * (2 * MAX_TAG), "a tag, comment or declaration has more than 1,048,576 bytes"),
        ("<a><!-- " + "x" * (2 * MAX_TAG), "a tag, comment or declaration has more than 1,048,576 bytes"),
    ],
)  # fmt: skip
async def test_xml_bounds(tmp_path: Path, held: str, said: str) -> None:
    (tmp_path / "a.xml").write_text(held)
    assert said in await fails("limit", xml_actions.Read, context(tmp_path), path="a.xml", element="b")


async def test_xml_that_is_not_wanted_is_not_kept(tmp_path: Path) -> None:
    with (tmp_path / "a.xml").open("w") as file:
        file.write("<a><rest>")
        for _ in range(300_000):
            file.write("<x y='1'>text</x>")
        file.write("</rest><b/></a>")
    with within(4 * MIB):
        assert (await call(xml_actions.Read, context(tmp_path), path="a.xml", element="b"))["items"] == [None]


async def test_xml_in_other_charsets(tmp_path: Path) -> None:
    here = context(tmp_path)
    held = "<?xml version='1.0' encoding='{}'?><a><b>Łódź 你好</b></a>"
    for name in ("utf-8", "utf-16"):
        (tmp_path / "a.xml").write_bytes(held.format(name).encode(name))
        assert (await call(xml_actions.Read, here, path="a.xml", element="b"))["items"] == ["Łódź 你好"]
    (tmp_path / "a.xml").write_bytes(held.format("gbk").replace("Łódź", "x").encode("gbk"))
    await fails("file.content", xml_actions.Read, here, path="a.xml", element="b")
    found = await call(xml_actions.Read, here, path="a.xml", element="b", encoding="gb18030")
    assert found["items"] == ["x 你好"]
    (tmp_path / "a.xml").write_bytes(codecs.BOM_UTF8 + b"<a><b>1</b></a>")
    assert (await call(xml_actions.Read, here, path="a.xml", element="b"))["items"] == ["1"]


@pytest.mark.parametrize("items", [None, "."])
async def test_json_bounds(tmp_path: Path, items: str | None) -> None:
    here = context(tmp_path)

    async def said(held: str, type: str = "limit") -> str:
        (tmp_path / "a.json").write_text(f"[{held}]" if items else held)
        return await fails(type, json_actions.Read, here, path="a.json", items=items)

    assert "nested more than 100 deep" in await said("[" * 101 + "]" * 101)
    assert "nested more than 100 deep" in await said('{"a":' * 5000 + "1" + "}" * 5000)
    assert "nested more than 100 deep" in await said("[" * 100_000 + "]" * 100_000)
    assert "16 MiB" in await said(f'"{"x" * (MAX_ITEM + 1)}"')
    (tmp_path / "a.json").write_text("[" * (100 + bool(items)) + "]" * (100 + bool(items)))
    assert (await call(json_actions.Read, here, path="a.json", items=items))["count"] == 1
    await said("{", "file.content")


async def test_one_element_of_a_list_is_bounded_before_it_is_built(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("w") as file:
        file.write('{"data": [1, [')
        for _ in range(200):
            file.write("0," * 50_000)
        file.write("0]]}")
    with within(64 * MIB):
        await fails("limit", json_actions.Read, context(tmp_path), path="a.json", items="data")
    await fails("limit", actions.Read, context(tmp_path), path="a.json")


async def test_file_read_of_deep_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 5000 + "]" * 5000)
    assert "nested" in await fails("limit", actions.Read, context(tmp_path), path="a.json", decode="json")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("a,b\n1," + "x" * (MAX_CELL + 1), "row 2, column 2, line 2: a cell has more than 131,072 characters"),
        ("a,b\n1,2\n" + "x" * (MAX_ROW + 1), f"row 3: more than {MAX_ROW:,} characters"),
        ("," * (MAX_COLUMNS + 1), f"row 1: more than {MAX_COLUMNS:,} columns"),
        ("a\n" + '"' + "x\n" * MAX_CELL + '"', "row 2, column 1"),
        ("a\n" + '"x\n",' * 2_000_000, "row 2: more than"),
    ],
)
async def test_csv_bounds(tmp_path: Path, held: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(held)
    assert said in await fails("limit", csv_actions.Read, context(tmp_path), path="a.csv")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("id,name\n1,a\n2,b,c\n", "row 3, column 3, line 3: 3 cells, but 2 names"),
        ('id,name\n1,"a\nb"\n2,"x"y\n', "row 3, column 2, line 4: text stands behind a closing quote"),
        ('id,name\n1,"a""b",""\n', "row 2, column 3, line 2: 3 cells, but 2 names"),
        ('id,name\n1,a\n2,"never\nclosed\n', "row 3, column 2, line 4: the quote that opens this cell is never closed"),
        ("id,name,id\n", "row 1, column 3: the name 'id' stands twice in the first row"),
        ('"a"b,c\n', "row 1, column 1, line 1: text stands behind"),
    ],
)
async def test_csv_errors_have_row_and_column(tmp_path: Path, held: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(held)
    assert said in await fails("file.content", csv_actions.Read, context(tmp_path), path="a.csv")


async def test_csv_rows_that_do_not_fit_are_named(tmp_path: Path) -> None:
    here = context(tmp_path)
    rows = [{"a": 1}, {"a": 2, "b": 3}]
    assert "row 2, column b" in await fails("file.content", csv_actions.Write, here, path="a.csv", rows=rows)
    assert "row 2" in await fails("expression", csv_actions.Write, here, path="a.csv", rows=[{"a": 1}, 7])


BOMS = [
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), ("\ufeff".encode("gb18030"), "gb18030"),
    (b"", "utf-8"), (b"", "utf-16-le"), (b"", "latin-1"), (b"", "windows-1252"), (b"", "shift_jis"),
]  # fmt: skip


@pytest.mark.parametrize(("bom", "encoding"), BOMS)
async def test_a_byte_order_mark_is_dropped_in_each_charset(tmp_path: Path, bom: bytes, encoding: str) -> None:
    here = context(tmp_path)
    word = "日本" if encoding == "shift_jis" else "é"
    codec = "utf-16-be" if bom == codecs.BOM_UTF16_BE else "utf-16-le" if bom == codecs.BOM_UTF16_LE else encoding

    def write(held: str) -> None:
        (tmp_path / "a").write_bytes(bom + held.encode(codec))

    write(f"name,n\n{word},1\n")
    found = await call(csv_actions.Read, here, path="a", encoding=encoding)
    assert found["items"] == [{"name": word, "n": "1"}]
    assert (await call(text.Lines, here, path="a", encoding=encoding))["items"] == ["name,n", f"{word},1"]
    assert (await call(actions.Read, here, path="a", encoding=encoding))["content"] == f"name,n\n{word},1\n"
    write(f'{{"name": "{word}"}}\n')
    one = {"name": word}
    assert (await call(json_actions.Read, here, path="a", encoding=encoding))["items"] == [one]
    assert (await call(yaml_actions.Read, here, path="a", encoding=encoding))["items"] == [one]
    assert (await call(actions.Read, here, path="a", encoding=encoding, decode="json"))["content"] == one
    write(f'[{{"name": "{word}"}}]')
    assert (await call(json_actions.Read, here, path="a", items=".", encoding=encoding))["items"] == [one]
    write(f"<a><name>{word}</name></a>")
    assert (await call(xml_actions.Read, here, path="a", element="name", encoding=encoding))["items"] == [word]
    write("")
    assert (await call(text.Lines, here, path="a", encoding=encoding))["items"] == []


@pytest.mark.parametrize("before", [0, 5, 70_000, 1_000_000])
async def test_the_byte_that_does_not_fit_is_named(tmp_path: Path, before: int) -> None:
    here = context(tmp_path)
    said = f"byte 0xe9 at position {before} is not UTF-8"
    (tmp_path / "a").write_bytes(b"x" * before + b"\xe9 \n")
    assert said in await fails("file.content", text.Lines, here, path="a")
    assert said in await fails("file.content", actions.Read, here, path="a")
    assert said in await fails("file.content", text.Filter, here, path="a", to="b", pattern="x")
    (tmp_path / "a").write_bytes(b'"' + b"x" * (before - 1) + b'\xe9"\n' if before else b"\xe9\n")
    for cls in (json_actions.Read, yaml_actions.Read):
        assert said in await fails("file.content", cls, here, path="a")
    (tmp_path / "a").write_bytes(b"a\n" * (before // 2) + b"b" * (before % 2) + b"\xe9\n")
    row = before // 2 + 1
    assert f"row {row}, column 1: {said}" in await fails("file.content", csv_actions.Convert, here, path="a", to="b")


async def test_a_charset_that_was_declared_is_named(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a").write_bytes(b"x,y\n1,\x81\n")
    said = await fails("file.content", csv_actions.Read, here, path="a", encoding="windows-1252")
    assert "row 2, column 2: byte 0x81 at position 6 is not windows-1252" in said
    (tmp_path / "a").write_bytes(codecs.BOM_UTF16_LE + "é".encode("utf-16-le"))
    said = await fails("file.content", text.Lines, here, path="a")
    assert "byte 0xff at position 0 is not UTF-8; the file begins like UTF-16: set `encoding: utf-16`" in said


async def test_a_page_ends_before_it_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "a.ndjson").open("w") as file:
        for _ in range(5):
            file.write(f'"{"x" * (4 * MIB)}"\n')
    first = await call(json_actions.Read, context(tmp_path), path="a.ndjson")
    assert (first["count"], first["next"]) == (3, 3)
    rest = await call(json_actions.Read, context(tmp_path), path="a.ndjson", skip=first["next"])
    assert (rest["count"], rest["next"]) == (2, None)


async def test_a_replacement_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 100_000 + "\n")
    options = {"path": "a", "to": "b", "pattern": "x"}
    await fails("limit", text.Replace, context(tmp_path), **options, by="y" * 1000)
    await fails("limit", text.Replace, context(tmp_path), **{**options, "pattern": "(x*)"}, by="\\1" * 1000)
    await call(text.Replace, context(tmp_path), **options, by="y" * 100)


FORMULAS = [{"=a": "=1+1", "b": "-5", "c": -5, "d": "\t@x", "e": "a=1", "f": "+1.5e3", "g": ["=1"]}]


async def test_formulas_are_escaped_unless_they_are_kept(tmp_path: Path) -> None:
    here = context(tmp_path)
    escaped = '\'=a,b,c,d,e,f,g\n\'=1+1,-5,-5,\'\t@x,a=1,+1.5e3,"[""=1""]"\n'
    await call(csv_actions.Write, here, path="a.csv", rows=FORMULAS)
    assert (tmp_path / "a.csv").read_text() == escaped
    await call(csv_actions.Write, here, path="b.csv", rows=FORMULAS, formulas="keep")
    assert (tmp_path / "b.csv").read_text() == escaped.replace("'", "")
    (tmp_path / "a.ndjson").write_text('{"a": "=1"}\n')
    (tmp_path / "a.yaml").write_text('a: "=1"\n')
    (tmp_path / "a.xml").write_text("<r><x><a>=1</a></x></r>")
    (tmp_path / "in.csv").write_text("a\n=1\n")
    for cls, options in (
        (json_actions.Convert, {"path": "a.ndjson"}), (yaml_actions.Convert, {"path": "a.yaml"}),
        (xml_actions.Convert, {"path": "a.xml", "element": "x"}), (csv_actions.Convert, {"path": "in.csv"}),
    ):  # fmt: skip
        await call(cls, here, **options, to="c.csv")
        assert (tmp_path / "c.csv").read_text() == "a\n'=1\n", cls
        await call(cls, here, **options, to="c.csv", formulas="keep")
        assert (tmp_path / "c.csv").read_text() == "a\n=1\n", cls
        await call(cls, here, **options, to="c.ndjson")
        assert (tmp_path / "c.ndjson").read_text() == '{"a":"=1"}\n', "only a csv is escaped"


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry, data in entries:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


async def test_archives_that_would_cost_much(tmp_path: Path) -> None:
    here = context(tmp_path)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    bomb = header.tobuf(tarfile.GNU_FORMAT) + b"\0" * (40 * MIB)
    (tmp_path / "name.tar").write_bytes(bomb)
    (tmp_path / "name.tar.gz").write_bytes(gzip.compress(bomb))
    (tmp_path / "name.tar.xz").write_bytes(lzma.compress(bomb))
    with within(64 * MIB):
        for name in ("name.tar", "name.tar.gz", "name.tar.xz"):
            await fails("limit", archive.List, here, path=name)
            await fails("limit", archive.Extract, here, path=name, to="out")
    folders = io.BytesIO()
    block = tarfile.TarInfo("d")
    block.type = tarfile.DIRTYPE
    folders.write(block.tobuf() * 100_001)
    (tmp_path / "folders.tar.gz").write_bytes(gzip.compress(folders.getvalue()))
    assert "100,000" in await fails("limit", archive.List, here, path="folders.tar.gz")
    huge = tarfile.TarInfo("huge")
    huge.size = 1 << 40
    (tmp_path / "huge.tar.gz").write_bytes(gzip.compress(huge.tobuf() + b"\0" * MIB))
    await fails("limit", archive.Extract, here, path="huge.tar.gz", to="out", limit="512KiB")
    await fails("limit", archive.List, here, path="huge.tar.gz")


async def test_a_zip_whose_index_is_large(tmp_path: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0x21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    index = entry * 400_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(index), 0, 0)
    (tmp_path / "a.zip").write_bytes(index + end)
    with within(64 * MIB):
        await fails("limit", archive.List, context(tmp_path), path="a.zip")


async def test_xz_with_a_large_dictionary(tmp_path: Path) -> None:
    raw = bytearray(lzma.compress(tar_of((tarfile.TarInfo("a"), b"1")), preset=0))
    (tmp_path / "good.tar.xz").write_bytes(bytes(raw))
    assert (await call(archive.List, context(tmp_path), path="good.tar.xz"))["count"] == 1
    block = bytearray(raw[12 : 12 + (raw[12] + 1) * 4])
    place = block.index(bytes([0x21, 0x01])) + 2
    block[place] = 37  # 1.5 GiB
    block[-4:] = struct.pack("<L", zlib.crc32(bytes(block[:-4])))
    raw[12 : 12 + len(block)] = block
    (tmp_path / "large.tar.xz").write_bytes(bytes(raw))
    assert "emory" in await fails("file.content", archive.List, context(tmp_path), path="large.tar.xz")


@pytest.mark.parametrize("cut", [10, 100, 300])
async def test_archives_that_are_cut_or_changed(tmp_path: Path, cut: int) -> None:
    here = context(tmp_path)
    plain = tar_of((tarfile.TarInfo("a"), bytes(range(256)) * 8))
    made: dict[str, bytes] = {"a.tar.gz": gzip.compress(plain), "a.tar.xz": lzma.compress(plain), "a.tar": plain[:1000]}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(range(256)) * 8)
    made["a.zip"] = packed.getvalue()
    for name, data in made.items():
        (tmp_path / name).write_bytes(data[:-cut] if name != "a.tar" else data)
        await fails("file.content", archive.Extract, here, path=name, to="out")
        broken = bytearray(data)
        for place in range(60, min(len(broken), 120)):
            broken[place] ^= 0xFF
        (tmp_path / name).write_bytes(bytes(broken))
        await fails("file.content", archive.Extract, here, path=name, to="out")


@pytest.mark.parametrize("before", [0, 1, *range(65_515, 65_540)])
async def test_half_a_surrogate_pair_is_not_changed_in_silence(tmp_path: Path, before: int) -> None:
    """Also where the escape is cut by the pieces in which the file is read."""
    here = context(tmp_path)
    for lone in ("\\ud83d", "\\ude00", "\\ud83d\\n", "\\ud83dx", "\\\\\\ud83d", "\\ud83d\\ud83d\\ude00"):
        (tmp_path / "a").write_text(f'["{"x" * before}{lone}"]')
        assert "half a surrogate pair" in await fails("file.content", json_actions.Read, here, path="a", items=".")
    for whole, held in (("\\ud83d\\ude00", "😀"), ("\\\\ud83d", "\\ud83d"), ("\\\\\\\\ud83d\\\\", "\\\\ud83d\\")):
        (tmp_path / "a").write_text(f'["{"x" * before}{whole}"]')
        found = await call(json_actions.Read, here, path="a", items=".")
        assert found["items"] == ["x" * before + held]


@pytest.mark.parametrize("held", ['!!int ""', "!!bool maybe", "!!timestamp x", "!!float x", "!!binary é", "!!omap 1"])
async def test_yaml_values_that_are_not_what_their_tag_says(tmp_path: Path, held: str) -> None:
    (tmp_path / "a").write_text(held)
    await fails("file.content", yaml_actions.Read, context(tmp_path), path="a")


@pytest.mark.parametrize(
    ("by", "held"),
    [
        ("日", "é日é"), (r"\1é", "éaéé"), (r"<\g<1>\g<0>>", "é<aa>é"), (r"\n\t\\", "é\n\t\\é"), (r"\x41\u65e5", "éA日é"), ("", "éé"),
        (r"\d", r"é\dé"), (r"\g<one>", "éaé"), ("\\", "é\\é"),
    ],
)  # fmt: skip
async def test_what_is_put_in_keeps_its_letters(tmp_path: Path, by: str, held: str) -> None:
    (tmp_path / "a").write_text("éaé\n")
    await call(text.Replace, context(tmp_path), path="a", to="b", pattern="(?P<one>a)", by=by)
    assert (tmp_path / "b").read_text() == held + "\n"
    for wrong in (r"\2", r"\g<two>"):
        await fails("expression", text.Replace, context(tmp_path), path="a", to="b", pattern="(a)", by=wrong)


async def test_yaml_that_others_change_meanwhile_costs_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built is what was counted: the file is read once."""
    opened = []
    plain = Place.open

    def count(self: Place, *given: Any, **more: Any) -> int:
        opened.append(self.name)
        return plain(self, *given, **more)

    monkeypatch.setattr(Place, "open", count)
    documents = [{"n": n, "held": ["x" * (n * 37 % 4000)] * 2} for n in range(2000)]
    (tmp_path / "a").write_text("".join(f"---\nn: {one['n']}\nheld: {one['held']}\n" for one in documents))
    assert (await call(yaml_actions.Read, context(tmp_path), path="a", limit=10_000))["items"] == documents
    assert opened == ["a"]


async def test_text_that_cannot_be_written(tmp_path: Path) -> None:
    here = context(tmp_path)
    assert "'\\ud83d' cannot be written as utf-8" in await fails(
        "expression", csv_actions.Write, here, path="o", rows=[["\ud83d"]]
    )
    await fails("expression", actions.Write, here, path="o", text="\ud83d")
    await fails("expression", actions.Append, here, path="o", json={"a": "\ud83d"})
    await fails("file.path", actions.Write, here, path="\ud83d", text="x")
    (tmp_path / "in").write_text("a")
    options = {"path": "in", "to": "o", "pattern": "a", "by": "日", "encoding": "latin-1"}
    assert "cannot be written as latin-1" in await fails("expression", text.Replace, here, **options)
    assert [one.name for one in tmp_path.iterdir()] == ["in"]
