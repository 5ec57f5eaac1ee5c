"""Makes dist/reactor: licence notices first, then PyInstaller, with its work outside this source room."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from pathlib import Path

import sbom
from PyInstaller.archive.readers import CArchiveReader

from reactor.catalog import bundles

ROOT = Path(__file__).resolve().parent.parent
EPOCH = "1700000000"
SHIPPED = (
    "aio-pika", "aiohappyeyeballs", "aiohttp", "aiokafka", "aiomqtt", "aiormq", "aiosignal", "aiosmtplib", "aiomysql", "anyio", "apsw", "asyncpg", "attrs", "certifi", "charset-normalizer", "croniter", "defusedxml", "frozenlist", "google-re2", "grpcio", "googleapis-common-protos", "ijson",
    "idna", "jsonschema-rs", "msgspec", "multidict", "nats-py", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-proto",
    "opentelemetry-exporter-otlp-proto-common", "opentelemetry-semantic-conventions", "paho-mqtt", "pamqp", "prometheus-client", "propcache", "protobuf", "psycopg2-binary", "pyinstaller", "pymysql", "python-dateutil", "python-multipart", "pyyaml", "redis", "requests", "six",
    "typing-extensions", "tzdata", "urllib3", "uvloop", "watchfiles", "yarl",
)  # fmt: skip


def notices() -> str:
    """The licences of everything inside, as their packages carry them."""
    parts = []
    for name in SHIPPED:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        licence = sbom.licence_of(distribution) or "see below"
        parts.append(f"{'=' * 80}\n{name} {distribution.version}: {licence}\n")
        parts += [
            Path(file.locate()).read_text("utf-8", "replace")
            for file in distribution.files or []
            if "dist-info" in str(file)
            and any(word in file.name.upper() for word in ("LICENSE", "LICENCE", "COPYING", "NOTICE"))
        ]
    parts.append(f"{'=' * 80}\nPython {sys.version.split()[0]}: PSF-2.0\n")
    return "\n".join(parts)


def need_shared_python() -> None:
    """PyInstaller packs libpython; Debian's python3 is linked without it, so its package may be missing."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    folders = [
        sysconfig.get_config_var("LIBDIR") or "",
        "/usr/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ]
    if ".so" in name and not any((Path(folder) / name).exists() for folder in folders):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run(["sh", str(ROOT / "build" / "apt.sh"), f"libpython{version}"], check=True)


def glibc(folder: Path) -> tuple[int, ...]:
    """The newest glibc whose symbols anything in the folder asks for, from the symbol versions of each ELF file."""
    newest: tuple[int, ...] = (0,)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
            done = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=False)
            for text in re.findall(r"GLIBC_([0-9.]+)", done.stdout):
                newest = max(newest, tuple(int(part) for part in text.split(".")))
    return newest


def freeze(work: Path, dist: Path) -> None:
    cache = str(work.parent / "pyinstaller-cache")  # of its own: another build beside this one would empty it
    environment = {**os.environ, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": EPOCH, "PYINSTALLER_CONFIG_DIR": cache}
    subprocess.run(
        [
            sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", "--clean",
            "--distpath", str(dist), "--workpath", str(work), str(ROOT / "build" / "reactor.spec"),
        ],
        cwd=ROOT, check=True, env=environment,
    )  # fmt: skip
    with tempfile.NamedTemporaryFile(dir=work) as mark:
        mark.write(bundles.MARK + bundles.PLAIN)
        mark.flush()
        section = ["objcopy", "--add-section", f"{bundles.SECTION}={mark.name}", str(dist / "reactor")]
        subprocess.run(section, check=True)


def pack(folder: Path, target: Path) -> None:
    """The folder as a tar.gz whose bytes depend on nothing but its content."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = int(EPOCH)
        return info

    name = target.name.removesuffix(".tar.gz")
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, int(EPOCH)) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, f"{name}/{path.relative_to(folder)}", recursive=False, filter=plain)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    begun = time.monotonic()
    twice = "--twice" in sys.argv[1:]
    need_shared_python()
    work, dist = ROOT / ".work", ROOT / "dist"
    work.mkdir(exist_ok=True)
    (work / "NOTICES").write_text(notices(), "utf-8")
    shutil.rmtree(dist, ignore_errors=True)
    freeze(work / "pyinstaller", dist)
    version = importlib.metadata.version("reactor-daemon")
    archive = dist / f"reactor-{version}-linux-{platform.machine()}.tar.gz"
    pack(dist / "folder", archive)
    newest = ".".join(map(str, glibc(dist / "folder")))
    entries = sbom.check(dist / "reactor")
    reader = CArchiveReader(str(dist / "reactor"))
    (dist / "reactor.cdx.json").write_bytes(reader.extract("licences/sbom.json"))
    shutil.rmtree(dist / "folder")
    for path in (dist / "reactor", archive):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 2**20:.1f} MiB, sha256 {digest(path)}")
    print(f"needs glibc {newest} or later; {entries:,} entries held against dist/reactor.cdx.json")
    if twice:
        with tempfile.TemporaryDirectory(dir=work) as other:
            freeze(Path(other) / "work", Path(other) / "dist")
            pack(Path(other) / "dist" / "folder", Path(other) / archive.name)
            for first, second in (
                (dist / "reactor", Path(other) / "dist" / "reactor"), (archive, Path(other) / archive.name)
            ):  # fmt: skip
                if digest(first) != digest(second):
                    print(f"{first.name}: a second build is another one ({digest(second)})", file=sys.stderr)
                    return 1
        print("a second build from nothing is the same, bit by bit")
    print(f"made in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
