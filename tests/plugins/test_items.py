"""Files too large for an expression: pages, conversion, texts, archives."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from plugins.actions import archive, text, xml, yaml
from plugins.actions import csv as csv_actions
from plugins.actions import json as json_actions
from reactor.contracts.errors import StepFailed
from tests.plugins.test_file import call, context

pytestmark = pytest.mark.anyio


async def fails(type: str, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StepFailed) as caught:
        await call(*arguments, **options)
    assert caught.value.type == type, caught.value
    return str(caught.value)


async def test_csv_pages_and_conversion(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a.csv").write_text('﻿id;name\n1;"a;b"\n2;"two\nlines"\n3\n', "utf-8")
    first = await call(csv_actions.Read, here, path="a.csv", delimiter=";", limit=2)
    assert first == {"items": [{"id": "1", "name": "a;b"}, {"id": "2", "name": "two\nlines"}], "count": 2, "next": 2}
    last = await call(csv_actions.Read, here, path="a.csv", delimiter=";", limit=2, skip=2)
    assert last == {"items": [{"id": "3", "name": None}], "count": 1, "next": None}
    made = await call(csv_actions.Convert, here, path="a.csv", to="out/a.json", delimiter=";", columns=["name"])
    assert made["count"] == 3
    assert json.loads((tmp_path / "out/a.json").read_text())[0] == {"name": "a;b"}
    await call(csv_actions.Write, here, path="b.csv", rows=[{"a": 1, "b": [1]}, {"b": "x,y", "a": None}])
    assert (tmp_path / "b.csv").read_text() == 'a,b\n1,[1]\n,"x,y"\n'
    back = await call(csv_actions.Read, here, path="b.csv", header=False)
    assert back["items"][2] == ["", "x,y"]


async def test_a_million_rows_stay_out_of_memory(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "big.csv").open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{n},{'x' * 40}\n" for n in range(300_000))
    tracemalloc.start()
    made = await call(csv_actions.Convert, context(tmp_path), path="big.csv", to="big.ndjson")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made["count"] == 300_000
    assert peak < 8 * 1024 * 1024
    found = await call(json_actions.Read, context(tmp_path), path="big.ndjson", skip=299_999)
    assert found["items"] == [{"id": "299999", "text": "x" * 40}]


async def test_what_is_no_csv(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "long.csv").write_text("a,b\n1,2,3\n")
    (tmp_path / "latin.csv").write_bytes("n\ncafé\n".encode("latin-1"))
    assert "twice" in await fails("file.content", csv_actions.Read, here, path="twice.csv")
    assert "line 2: 3 cells" in await fails("file.content", csv_actions.Read, here, path="long.csv")
    await fails("file.content", csv_actions.Read, here, path="latin.csv")
    found = await call(csv_actions.Read, here, path="latin.csv", encoding="latin-1")
    assert found["items"] == [{"n": "café"}]
    await fails("file.not_found", csv_actions.Read, here, path="none.csv")
    await fails("expression", csv_actions.Read, here, path="long.csv", delimiter="ab")
    await fails("expression", csv_actions.Read, here, path="long.csv", limit=0)
    await fails("file.content", csv_actions.Convert, here, path="long.csv", to="out.csv")
    assert not (tmp_path / "out.csv").exists() and not list(tmp_path.glob(".out*"))


async def test_json_lists_and_lines(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"data": {"rows": [{"id": n, "x": 1.5} for n in range(5)]}}))
    (tmp_path / "b.json").write_text("[1, 2, 3]")
    (tmp_path / "c.ndjson").write_text('{"a": 1}\n\n{"a": 2}\nnot json\n')
    found = await call(json_actions.Read, here, path="a.json", items="data.rows", limit=2)
    assert found == {"items": [{"id": 0, "x": 1.5}, {"id": 1, "x": 1.5}], "count": 2, "next": 2}
    assert (await call(json_actions.Read, here, path="b.json", items="."))["items"] == [1, 2, 3]
    assert "line 4" in await fails("file.content", json_actions.Read, here, path="c.ndjson")
    await call(json_actions.Convert, here, path="a.json", items="data.rows", to="a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ["id,x", "0,1.5"]
    assert "b" in await fails("file.content", json_actions.Read, here, path="c.ndjson", items="x")


async def test_xml_elements_without_entities(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a.xml").write_text(
        '<o:orders xmlns:o="urn:x"><o:order id="7"><item>a</item><item>b</item><note/></o:order><o:order/></o:orders>'
    )
    found = await call(xml.Read, here, path="a.xml", element="order")
    assert found["items"] == [{"@id": "7", "item": ["a", "b"], "note": None}, None]
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]><a><b>&y;</b></a>'
    (tmp_path / "bomb.xml").write_text(bomb)
    await fails("file.content", xml.Read, here, path="bomb.xml", element="b")
    (tmp_path / "outside.xml").write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><b>&x;</b></a>')
    await fails("file.content", xml.Read, here, path="outside.xml", element="b")
    (tmp_path / "cut.xml").write_text("<a><b>1</b><b>")
    await fails("file.content", xml.Read, here, path="cut.xml", element="b")


async def test_yaml_documents_are_plain_data(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a.yaml").write_text("a: 1\nwhen: 2026-01-02\n---\n- 2\n")
    assert (await call(yaml.Read, here, path="a.yaml"))["items"] == [{"a": 1, "when": "2026-01-02"}, [2]]
    (tmp_path / "b.yaml").write_text("!!python/object/apply:os.system [id]\n")
    await fails("file.content", yaml.Read, here, path="b.yaml")
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(7)
    )
    (tmp_path / "c.yaml").write_text(laughs)
    await fails("limit", yaml.Read, here, path="c.yaml")


async def test_texts(tmp_path: Path) -> None:
    here = context(tmp_path)
    (tmp_path / "a.log").write_text("one ERROR a\ntwo\nthree ERROR b\n")
    assert (await call(text.Filter, here, path="a.log", to="e.log", pattern="ERROR"))["count"] == 2
    assert (await call(text.Filter, here, path="a.log", to="e.log", pattern="ERROR", invert=True))["count"] == 1
    assert (tmp_path / "e.log").read_text() == "two\n"
    made = await call(text.Replace, here, path="a.log", to="a.log", pattern=r"(\w+) ERROR", by=r"\1!")
    assert made["count"] == 2 and (tmp_path / "a.log").read_text() == "one! a\ntwo\nthree! b\n"
    parts = await call(text.Split, here, path="a.log", to="p/{}.txt", lines=1, header=True)
    assert [Path(f["path"]).read_text() for f in parts["files"]] == ["one! a\ntwo\n", "one! a\nthree! b\n"]
    assert (await call(text.Lines, here, path="a.log", skip=1, limit=1)) == {"items": ["two"], "count": 1, "next": 2}
    await fails("expression", text.Filter, here, path="a.log", to="x", pattern="(")
    await fails("expression", text.Split, here, path="a.log", to="x.txt", lines=1)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.tgz"])
async def test_archives_there_and_back(tmp_path: Path, name: str) -> None:
    here = context(tmp_path)
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a.txt").write_text("a" * 1000)
    (tmp_path / "in/sub/b.txt").write_text("b")
    (tmp_path / "in/link").symlink_to("/etc/passwd")
    assert (await call(archive.Create, here, path="in", to=name))["count"] == 2
    listed = await call(archive.List, here, path=name)
    assert listed == {
        "files": [{"name": "a.txt", "size": 1000}, {"name": "sub/b.txt", "size": 1}],
        "count": 2,
        "size": 1001,
    }
    made = await call(archive.Extract, here, path=name, to="out")
    assert made["count"] == 2 and made["size"] == 1001
    assert (tmp_path / "out/sub/b.txt").read_text() == "b"
    await fails("limit", archive.Extract, here, path=name, to="small", limit="100B")
    await fails("limit", archive.Extract, here, path=name, to="few", files=1)


@pytest.mark.parametrize("inner", ["../x", "/x", "a/../../x", "..\\x", "c:/x"])
async def test_names_that_leave_the_folder(tmp_path: Path, inner: str) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as made:
        made.writestr(inner, "x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        entry = tarfile.TarInfo(inner)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    for name in ("evil.zip", "evil.tar"):
        await fails("file.content", archive.Extract, context(tmp_path), path=name, to="deep/out")
    assert not (tmp_path / "x").exists() and not (tmp_path / "deep/x").exists()


async def test_links_devices_bombs_and_garbage(tmp_path: Path) -> None:
    here = context(tmp_path)
    for kind, target in ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "/etc/passwd"), (tarfile.CHRTYPE, "")):
        with tarfile.open(tmp_path / "link.tar", "w") as tar:
            entry = tarfile.TarInfo("l")
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
        await fails("file.content", archive.Extract, here, path="link.tar", to="out")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", b"\0" * 50_000_000)
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    await fails("limit", archive.Extract, here, path="bomb.zip", to="out", limit="1MiB")
    assert not list((tmp_path / "out").glob("*"))
    (tmp_path / "no.zip").write_bytes(b"PK\3\4 nothing")
    (tmp_path / "no.tar.gz").write_bytes(b"\x1f\x8b nothing")
    for name in ("no.zip", "no.tar.gz"):
        await fails("file.content", archive.Extract, here, path=name, to="out")
    await fails("expression", archive.List, here, path="no.rar")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/dir").symlink_to(tmp_path)
    with zipfile.ZipFile(tmp_path / "through.zip", "w") as made:
        made.writestr("dir/x", "x")
    await fails("file.content", archive.Extract, here, path="through.zip", to="out")
    assert not (tmp_path / "x").exists()
