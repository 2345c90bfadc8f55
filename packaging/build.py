"""Builds the executable: one file with Python, rt-proxy, and all that they stand on.

    python packaging/build.py [--output dist/rt-proxy]

PyInstaller gathers the program in a folder, for the platform that this runs on; that is packed
behind ``head.sh``, which unpacks it once and runs it in its own place. PyInstaller's own single
file unpacks at each start and stays the parent of the program: killed, it leaves 20 MB and a
program that nobody watches, and systemd watches the wrong one.
"""

import argparse
import gzip
import hashlib
import io
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import rt_proxy

HERE = Path(__file__).resolve().parent
#: The size of the file is written with so many digits, for it is a part of the file.
_SIZE_DIGITS = 10
#: What pip notes about the machine that it ran on.
_NOTES = frozenset({"direct_url.json", "RECORD", "INSTALLER", "REQUESTED", "uv_cache.json"})
#: What is imported where it is there, and is of no use here; readline is GPL besides.
_UNWANTED = (
    *("IPython", "_cffi_backend", "cffi", "curses", "hypothesis", "pip", "pkg_resources"),
    *("pluggy", "pytest", "readline", "setuptools", "tkinter"),
)


def main() -> None:
    """Build what the arguments say."""
    parser = argparse.ArgumentParser(description="Build rt-proxy as one file for this platform.")
    parser.add_argument("--output", type=Path, default=HERE.parent / "dist" / "rt-proxy")
    build(parser.parse_args().output)


def build(output: Path) -> None:
    """Build the executable.

    Raises:
        SystemExit: What is installed is not what is in this folder.
        subprocess.CalledProcessError: PyInstaller failed; it has said why.
    """
    _make_sure_of_the_code()
    with tempfile.TemporaryDirectory() as scratch:
        folder = _gather(Path(scratch))
        full_version = _note_commit(folder)
        _remove_notes(folder)
        _add_licenses(folder)
        files = list(folder.rglob("*"))
        archive = _pack(folder)
        unpacked = sum(path.stat().st_size for path in files if path.is_file())
    head = _head(full_version, archive, unpacked, len(files))
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.name}.part")
    part.write_bytes(head + archive)
    part.chmod(0o755)
    part.replace(output)  # one that runs is not written to
    print(f"{output}: {full_version}, {len(archive) / 1e6:.0f} MB, {unpacked / 1e6:.0f} unpacked")


def _make_sure_of_the_code() -> None:
    """Make sure that what is installed, and will be built, is what the commit is told of."""
    installed = Path(rt_proxy.__file__).parent
    here = HERE.parent / "rt_proxy"
    if any(
        path.read_bytes() != installed.joinpath(path.relative_to(here)).read_bytes()
        for path in here.rglob("*.py")
        if installed.joinpath(path.relative_to(here)).exists()
    ) or len(list(here.rglob("*.py"))) != len(list(installed.rglob("*.py"))):
        raise SystemExit(
            f"the rt-proxy in {installed} is not the one in {here}; "
            "install that first: pip install '.[executable]'"
        )


def _gather(scratch: Path) -> Path:
    """Have PyInstaller gather the program, and return its folder."""
    subprocess.run(
        [
            *(sys.executable, "-m", "PyInstaller", str(HERE / "entry.py")),
            *("--onedir", "--name", "rt-proxy", "--strip", "--noupx", "--log-level", "WARN"),
            *("--collect-data", "rt_proxy", "--collect-data", "tzdata"),
            *("--recursive-copy-metadata", "rt-proxy"),
            *(word for name in _UNWANTED for word in ("--exclude-module", name)),
            *("--distpath", str(scratch / "dist"), "--workpath", str(scratch / "work")),
            *("--specpath", str(scratch)),
        ],
        check=True,
    )
    return scratch / "dist" / "rt-proxy"


def _note_commit(folder: Path) -> str:
    """Put the commit into the version, as in ``0.1.0+g1a2b3c4d5e6f``, and return that."""
    plain = version("rt-proxy")
    full = f"{plain}{_commit()}"
    [metadata] = folder.glob("_internal/rt_proxy-*.dist-info/METADATA")
    text = metadata.read_text("utf-8")
    metadata.write_text(text.replace(f"\nVersion: {plain}\n", f"\nVersion: {full}\n", 1), "utf-8")
    return full


def _commit() -> str:
    """Return the commit as the local part of a version (PEP 440); nothing where there is none."""
    if not (HERE.parent / ".git").exists():
        return ""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=.changed", "--abbrev=12", "--exclude=*"],
        cwd=HERE.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    return f"+g{described.stdout.strip()}" if described.returncode == 0 else ""


def _remove_notes(folder: Path) -> None:
    for path in folder.glob("_internal/*.dist-info/*"):
        if path.name in _NOTES:
            path.unlink()


def _add_licenses(folder: Path) -> None:
    """Gather the licenses of all that is inside in one folder."""
    licenses = folder / "licenses"
    licenses.mkdir()
    for metadata in folder.glob("_internal/*.dist-info"):
        for path in metadata.rglob("*"):
            if path.is_file() and path.name.upper().startswith(("LICENSE", "COPYING", "NOTICE")):
                shutil.copy(path, licenses / f"{metadata.name.partition('-')[0]}-{path.name}")
    python = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if python.exists():
        shutil.copy(python, licenses / "python-LICENSE.txt")
    for library in folder.glob("_internal/lib*.so*"):
        _add_license_of(library.name, licenses)


def _add_license_of(library: str, licenses: Path) -> None:
    """Add the license of a library of the system, where its packages tell it (Debian)."""
    if shutil.which("dpkg") is None:
        return
    found = subprocess.run(
        ["dpkg", "--search", f"*/{library}"], check=False, capture_output=True, text=True
    )
    for package in {line.partition(":")[0] for line in found.stdout.splitlines()}:
        copyright_file = Path("/usr/share/doc") / package / "copyright"
        if copyright_file.exists():
            shutil.copy(copyright_file, licenses / f"{package}-copyright.txt")


def _libc() -> str:
    """Return which C library the program needs at least, where that is known."""
    name, version_of = platform.libc_ver()
    return f" with {name} {version_of}" if name else ""


def _pack(folder: Path) -> bytes:
    """Pack a folder, without a trace of when and by whom."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder), recursive=False, filter=_anonymous)
    return packed.getvalue()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


def _head(full_version: str, archive: bytes, unpacked: int, files: int) -> bytes:
    text = (HERE / "head.sh").read_text("utf-8")
    values = {
        "VERSION": full_version,
        "PLATFORM": f"{platform.system()} on {platform.machine()}{_libc()}",
        "KEY": f"{full_version}-{hashlib.sha256(archive).hexdigest()[:12]}",
        "MEGABYTES": str(-(-unpacked // 1_000_000)),
        "LINES": str(text.count("\n") + 1),
        # The folder itself, and the marker that the script adds.
        "FILES": str(files + 2),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    size = len(text.encode()) + len(archive) - len("@SIZE@") + _SIZE_DIGITS
    return text.replace("@SIZE@", f"{size:0{_SIZE_DIGITS}}").encode()


if __name__ == "__main__":
    main()
