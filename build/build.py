"""Makes dist/reactor: licence notices first, then PyInstaller, with its work outside this source room."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = (
    "aiohappyeyeballs", "aiohttp", "aiosignal", "anyio", "apsw", "attrs", "croniter", "frozenlist", "google-re2",
    "idna", "jsonschema-rs", "msgspec", "multidict", "propcache", "pyinstaller", "python-dateutil", "pyyaml", "six",
    "tzdata", "uvloop", "watchfiles", "yarl",
)  # fmt: skip


def notices() -> str:
    """The licences of everything inside, as their packages carry them."""
    parts = []
    for name in SHIPPED:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        meta = distribution.metadata
        licence = meta.get("License-Expression") or meta.get("License") or "see below"
        parts.append(f"{'=' * 80}\n{name} {distribution.version}: {licence.splitlines()[0]}\n")
        for file in distribution.files or []:
            if "dist-info" in str(file) and any(
                word in file.name.upper() for word in ("LICENSE", "LICENCE", "COPYING", "NOTICE")
            ):
                text = file.locate().read_text("utf-8", "replace") if hasattr(file, "locate") else ""
                parts.append(text)
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


def main() -> int:
    begun = time.monotonic()
    need_shared_python()
    work = ROOT / ".work"
    work.mkdir(exist_ok=True)
    (work / "NOTICES").write_text(notices(), "utf-8")
    done = subprocess.run(
        [
            sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN",
            "--distpath", str(ROOT / "dist"), "--workpath", str(work / "pyinstaller"), str(ROOT / "build" / "reactor.spec"),
        ],
        cwd=ROOT, check=False, env={**os.environ, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "1700000000"},
    )  # fmt: skip
    if done.returncode:
        return done.returncode
    size = (ROOT / "dist" / "reactor").stat().st_size
    print(f"dist/reactor: {size / 2**20:.1f} MiB, made in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
