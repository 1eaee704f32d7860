"""A root folder of 64-bit ARM Linux with Python and LiteRT, for qemu's user emulation.

Debian's packages are fetched by the host's own apt into private folders and unpacked: no
chroot, no maintainer script, and the host's packages stay as they are. It is made once a
version of LiteRT, in about half a minute (190 MB), and kept in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tinyml.core.errors import DeviceError, MachineError, machine_errors
from tinyml.core.files import cache_folder, write_text
from tinyml.core.folders import new_folder
from tinyml.core.process import python_module, tied

SUITE = "bookworm"
PYTHON = "usr/bin/python3.11"
SITE = "opt/site"
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# pip does not widen a platform tag: each one that a wheel may carry is named.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
NEEDS = {
    "qemu-aarch64": "qemu-user",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "tar": "tar",
    "cc": "gcc",
}
# What /proc/cpuinfo says there: XNNPACK chooses its kernels by the part, and LiteRT dies
# where the host's own shines through. Numbers of ARM's Main ID Register.
PARTS = {"cortex-a53": (0xD03, 4), "cortex-a72": (0xD08, 3), "cortex-a76": (0xD0B, 1)}
DOT_PRODUCT = {"cortex-a76": " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"}


def root(version: str) -> Path:
    """The root that has LiteRT ``version``, made if it is not there.

    Raises `MachineError` naming what this machine lacks, `DeviceError` where a package
    cannot be had.
    """
    check()
    path = cache_folder() / "boards" / f"{SUITE}-litert-{version}"
    if not path.exists():
        with new_folder(path) as draft:
            _unpack_debian(draft)
            _install(draft / SITE, version)
    return path


def check() -> None:
    """Raise `MachineError` for what emulation needs and this machine has not."""
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        packages = " ".join(NEEDS[name] for name in missing)
        raise MachineError(
            f"an emulated board needs {', '.join(missing)}, not found here",
            hint=f"apt-get install {packages}",
        )


def plugin(folder: Path) -> Path:
    """QEMU's plugin that counts instructions, compiled into ``folder``."""
    source, made = Path(__file__).with_name("count_instructions.c"), folder / "count.so"
    _run(["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(made)], "compiling the counter")
    return made


def cpu_info(cpu: str, cores: int = 4) -> str:
    """``/proc/cpuinfo`` of a board with ``cpu``, which qemu is told to emulate too."""
    part, revision = PARTS[cpu]
    features = "fp asimd evtstrm crc32 cpuid" + DOT_PRODUCT.get(cpu, "")
    return "".join(
        f"processor\t: {core}\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part:#05x}\n"
        f"CPU revision\t: {revision}\n\n"
        for core in range(cores)
    )


def _unpack_debian(draft: Path) -> None:
    apt = draft / "apt"
    options = _apt_options(apt)
    _run(["apt-get", *options, "-qq", "update"], f"reading Debian {SUITE}'s lists")
    fetch = ["apt-get", *options, "-qq", "-y", "-d", "install", *PACKAGES]
    _run(fetch, f"fetching {', '.join(PACKAGES)}")
    with machine_errors("unpacking the board's packages"):
        for name in ("bin", "sbin", "lib"):
            (draft / "usr" / name).mkdir(parents=True)
            (draft / name).symlink_to(f"usr/{name}")
        for name in ("proc", "tmp"):
            (draft / name).mkdir()
        for package in sorted((apt / "cache/archives").glob("*.deb")):
            _unpack(package, draft)
        shutil.rmtree(apt)


def _apt_options(apt: Path) -> list[str]:
    """Folders of its own, so that the host's packages are neither read nor changed."""
    with machine_errors("making folders for apt"):
        for name in ("lists/partial", "cache/archives/partial"):
            (apt / name).mkdir(parents=True)
    write_text(apt / "status", "")
    write_text(apt / "sources.list", f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
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
    mirrors = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], "reading apt's sources")
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
        _run(["dpkg-deb", "--fsys-tarfile", str(package)], f"reading {package.name}", stream)
    extract = ["tar", "-C", str(into), "-xf", str(archive), "--keep-directory-symlink"]
    _run([*extract, "--no-same-owner", "--exclude=./usr/share/doc"], f"unpacking {package.name}")
    archive.unlink()


def _install(site: Path, version: str) -> None:
    """LiteRT's wheel for AArch64 and its numpy, by pip."""
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    command = python_module("pip", ["install", "-q", "--target", str(site), *platforms])
    command += ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:"]
    _run([*command, f"ai-edge-litert=={version}", "numpy"], f"fetching LiteRT {version}")


def _run(command: Sequence[str], doing: str, stdout: int | IO[bytes] = subprocess.PIPE) -> str:
    """What it prints, where that goes to no file."""
    with machine_errors(doing):
        done = subprocess.run(
            tied(command),
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise DeviceError(f"{doing}: {last[:200]}", hint="is the network reachable?")
    return (done.stdout or b"").decode(errors="replace")
