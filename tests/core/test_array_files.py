"""Arrays of files that somebody else made: what is declared is not believed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinyml.core import array_files
from tinyml.core.array_files import read_arrays, read_npz
from tinyml.core.errors import InputError, MachineError

KINDS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "empty": np.zeros((0, 3), np.int8),
    "scalar": np.float64(3.0),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", **KINDS)  # type: ignore[operator]
    found = read_npz(tmp_path / "a.npz")
    assert found.keys() == KINDS.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, KINDS[name])
        assert array.dtype == KINDS[name].dtype
        array[...] = 0  # it can be written to
    np.save(tmp_path / "a.npy", KINDS["a"])
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npy"), [KINDS["a"]])
    assert len(read_arrays(tmp_path / "a.npz")) == len(KINDS)


def forged(path: Path, header: bytes, values: bytes = b"", name: str = "x.npy") -> Path:
    """A zip file of one member: numpy's magic, ``header`` and ``values``."""
    size = len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\x93NUMPY\x01\x00" + size + header + values)
    return path


def header(shape: str, kind: str = "<f4") -> bytes:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(10000000000,)"), "declares 40,000,000,000 bytes of values and holds 8"),
        (header("(-2,)"), "declares -8 bytes"),
        (header("(1, 1)"), "declares 4 bytes of values and holds 8"),
        (header("(2,)", "|O"), "holds objects"),
        (header("('a',)"), "shape is not valid"),
        (b"[" * 9000 + b"\n", "cannot be read as .npz: "),
        (b"{'descr': (1, 2)}\n", "cannot be read as .npz: "),
        (b"\xff\x00(", "cannot be read as .npz: "),
    ],
)
def test_a_header_that_is_not_true_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = forged(tmp_path / "a.npz", content, bytes(8))
    with pytest.raises(InputError) as caught:
        read_npz(path)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{path} cannot be read")
    assert "\n" not in caught.value.message


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'x.txt' is not an array"):
        read_npz(forged(tmp_path / "a.npz", b"", name="x.txt"))


def test_more_than_the_machine_can_hold_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1 << 20, np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    monkeypatch.setattr(array_files, "machine_memory_mb", lambda: 7)
    monkeypatch.setattr(array_files, "_array", None)
    with pytest.raises(InputError, match="more than half of this machine's memory"):
        read_npz(tmp_path / "a.npz")


def test_a_broken_disk_is_not_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise OSError(5, "Input/output error")

    np.savez(tmp_path / "a.npz", x=KINDS["a"])
    monkeypatch.setattr(array_files, "_members", broken)
    with pytest.raises(MachineError, match=r"reading a\.npz: Input/output error"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"NUMPY\x93\x01\x00", "does not begin as a .npy file does"),
        ("a.npz", b"something else", "does not begin as a .npz file does"),
        ("a.npy", b"", "it is empty"),
        ("a.npy", b"<!DOCTYPE html><html>", "it is an HTML page"),
        ("a.npz", b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        ("a.npz", b"PK\x03\x04 and no more", "cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00", "cannot be read as an array: "),
        ("a.npy", b"\x93NUMPY\x01\x00\x06\x00{'de': ", "cannot be read as an array: "),
    ],
)
def test_a_broken_file_is_called_what_it_is_and_never_a_zip_file(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_arrays, read_npz):
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
        if not content.startswith((b"PK", b"\x93")):
            assert "zip" not in caught.value.message
            assert message in caught.value.message


def test_a_cut_array_of_numpy_says_what_is_missing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    with pytest.raises(InputError, match=r"declares 48 bytes of values and holds 40"):
        read_arrays(tmp_path / "a.npy")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_numpy_does_not_write_is_refused(tmp_path: Path, method: int) -> None:
    """A few bytes of LZMA may ask for a dictionary of 4 GiB."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", b"")
    with pytest.raises(InputError, match=f"'x.npy' is compressed by method {method}"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("in_archive", [False, True])
def test_a_long_header_is_refused_before_it_is_read(tmp_path: Path, in_archive: bool) -> None:
    content = b"\x93NUMPY\x02\x00" + (3_000_000_000).to_bytes(4, "little") + bytes(8)
    path = tmp_path / ("a.npz" if in_archive else "a.npy")
    if in_archive:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="declares a header of 3,000,000,000 bytes"):
        read_arrays(path)
