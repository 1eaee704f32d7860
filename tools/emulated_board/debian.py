"""A root folder of 64-bit ARM Debian with Python, for qemu's user emulation.

The packages are fetched by the host's own apt into private folders and unpacked: no chroot, no
maintainer script, and the host's packages stay as they are. A release takes about 20 seconds and
80 MB, once.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from emulated_board.host_tools import run
from tinyml.core.errors import MachineError, machine_errors
from tinyml.core.files import write_text

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
# What a user finds at a prompt, and no Python: a phone has none.
SHELL = (
    "dash",
    "coreutils",
    "grep",
    "sed",
    "mawk",
    "findutils",
    "util-linux",
    "procps",
    "libc-bin",
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack_debian(draft: Path, suite: str, packages: Sequence[str] = PACKAGES) -> None:
    """Fill ``draft`` with ``packages`` of ``suite``, and those that they need."""
    apt = draft / "apt"
    options = _apt_options(apt, suite)
    run(["apt-get", *options, "-qq", "update"], f"reading Debian {suite}'s lists")
    fetch = ["apt-get", *options, "-qq", "-y", "-d", "install", *packages]
    run(fetch, f"fetching {', '.join(packages)}")
    with machine_errors("unpacking the board's packages"):
        for name in ("bin", "sbin", "lib"):
            (draft / "usr" / name).mkdir(parents=True)
            (draft / name).symlink_to(f"usr/{name}")
        for package in sorted((apt / "cache/archives").glob("*.deb")):
            _unpack(package, draft)
        shutil.rmtree(apt)


def _apt_options(apt: Path, suite: str) -> list[str]:
    """Folders of its own, so that the host's packages are neither read nor changed."""
    with machine_errors("making folders for apt"):
        for name in ("lists/partial", "cache/archives/partial"):
            (apt / name).mkdir(parents=True)
    write_text(apt / "status", "")
    write_text(apt / "sources.list", f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "pkgCacheGen::Essential": "none",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _mirror() -> str:
    """The mirror of Debian that the host's own packages come from."""
    mirrors = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], "reading apt's sources")
    for mirror in mirrors.split():
        if mirror.rstrip("/").endswith("/debian"):
            return mirror
    raise MachineError(
        "apt names no mirror of Debian here, and an emulated board is made of its packages",
        hint="add one to apt's sources, and install debian-archive-keyring",
    )


def _unpack(package: Path, into: Path) -> None:
    """The package's files, through tar: links to folders that are there stay links."""
    archive = package.with_suffix(".tar")
    with archive.open("wb") as stream:
        run(["dpkg-deb", "--fsys-tarfile", str(package)], f"reading {package.name}", stream)
    extract = ["tar", "-C", str(into), "-xf", str(archive), "--keep-directory-symlink"]
    run([*extract, "--no-same-owner", "--exclude=./usr/share/doc"], f"unpacking {package.name}")
    archive.unlink()
