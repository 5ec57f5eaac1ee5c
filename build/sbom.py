"""A CycloneDX 1.6 list of everything in the frozen archive: packages by what they brought, native libraries by content."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SYMLINK = "n"
OWN = ("reactor", "flows", "triggers", "plugins")


def owners() -> dict[str, str]:
    """The distribution of each installed file, by its resolved path."""
    found = {}
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or []:
            found[str(Path(str(distribution.locate_file(file))).resolve())] = distribution.metadata["Name"]
    return found


def make(pure: list[Any], binaries: list[Any], datas: list[Any]) -> str:
    """The list as JSON; entries are PyInstaller's (name, file, kind)."""
    known = owners()
    packages: dict[str, int] = {}
    natives: list[dict[str, Any]] = []
    for name, file, kind in [*pure, *binaries, *datas]:
        if kind == "SYMLINK":
            continue
        owner = known.get(str(Path(file).resolve())) if file not in (None, "-") else None
        if owner is not None:
            packages[owner] = packages.get(owner, 0) + 1
        # a wheel's own copies of foreign libraries stand in `package.libs`: named one by one, like the system's
        if ".so" in Path(name).name and (owner is None or ".libs/" in name):
            raw = Path(file).read_bytes()
            natives.append(
                {
                    "type": "library",
                    "bom-ref": f"file:{name}",
                    "name": Path(name).name,
                    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(raw).hexdigest()}],
                    "properties": [{"name": "reactor:path", "value": name}],
                }
            )
    version = importlib.metadata.version("reactor-daemon")
    components = [_package(name, count) for name, count in sorted(packages.items()) if name != "reactor-daemon"]
    components.append(_package("pyinstaller", 1))
    python = ".".join(map(str, sys.version_info[:3]))
    components.append({"type": "platform", "bom-ref": "python", "name": "cpython", "version": python,
                       "licenses": [{"license": {"id": "PSF-2.0"}}]})  # fmt: skip
    import apsw

    components.append({"type": "library", "bom-ref": "sqlite", "name": "sqlite", "version": apsw.sqlite_lib_version(),
                       "licenses": [{"license": {"name": "public domain"}}]})  # fmt: skip
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "reactor", "name": "reactor", "version": version}},
        "components": [*components, *sorted(natives, key=lambda one: str(one["bom-ref"]))],
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What a package says of its licence, in one line; empty when it says nothing."""
    said = distribution.metadata.json
    text = said.get("license_expression") or said.get("license") or ""
    return text.strip().partition("\n")[0] if isinstance(text, str) else ""


def _package(name: str, count: int) -> dict[str, Any]:
    distribution = importlib.metadata.distribution(name)
    return {
        "type": "library",
        "bom-ref": f"pypi:{name.lower()}",
        "name": name,
        "version": distribution.version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{distribution.version}",
        "licenses": [{"license": {"name": licence_of(distribution)[:100] or "unknown"}}],
        "properties": [{"name": "reactor:files", "value": str(count)}],
    }


def check(executable: Path) -> int:
    """Reads the finished archive back: each package and library in it is listed. The number of entries looked at."""
    from PyInstaller.archive.readers import CArchiveReader

    reader = CArchiveReader(str(executable))
    listed = json.loads(reader.extract("licences/sbom.json"))
    names = {component["name"].lower().replace("-", "_") for component in listed["components"]}
    paths = {p["value"] for c in listed["components"] for p in c.get("properties", []) if p["name"] == "reactor:path"}
    tops = importlib.metadata.packages_distributions()
    missing = []
    pyz = next(name for name, entry in reader.toc.items() if entry[-1] == "z")
    modules = {name.partition(".")[0] for name in reader.open_embedded_archive(pyz).toc}
    for module in sorted(modules - set(OWN) - set(sys.stdlib_module_names)):
        distributions = [name.lower().replace("-", "_") for name in tops.get(module, [])]
        if distributions and not names.intersection(distributions):
            missing.append(module)
    for name, entry in reader.toc.items():
        if entry[-1] != SYMLINK and ".so" in Path(name).name and name not in paths:
            top = name.replace("/", ".").partition(".")[0]
            owner = [one.lower().replace("-", "_") for one in tops.get(top, [])]
            if not names.intersection(owner) and not name.startswith(("lib-dynload/", "python3")):
                missing.append(name)
    if missing:
        raise SystemExit(f"not in the CycloneDX list: {', '.join(missing[:10])}")
    return len(reader.toc) + len(modules)
