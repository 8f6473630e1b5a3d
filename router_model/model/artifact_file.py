"""The files of an artifact: packed reproducibly, and read only if they are regular, small enough and numeric."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What weights may take, unpacked: those that claim more are no router's, and must not fill the memory of a gateway.
MOST_BYTES = 512 * 1024 * 1024
MOST_HEADER_BYTES = 4 * 1024 * 1024


def read(path: Path, most: int) -> bytes:
    """What a plain file holds: a pipe would be waited for, a device has no end. OSError: it is none, or too large."""
    if not path.is_file():
        raise OSError("it is no plain file" if path.exists() else "No such file")
    if path.stat().st_size > most:
        raise OSError(f"it is larger than {most} bytes")
    return path.read_bytes()


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A compressed npz without time stamps, so that equal artifacts are equal files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), body.getvalue(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that were packed. ValueError, in one line: they are none, or hold what is no number."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(member.file_size for member in packed.infolist()) > MOST_BYTES:
                raise ValueError(f"it would take more than {MOST_BYTES} bytes unpacked")
        # Nothing is unpacked to a file, so that names of members lead nowhere; objects are not read.
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    # What zipfile and NumPy make of bytes that are not what they claim to be.
    except (
        *(ValueError, TypeError, AttributeError, OSError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        said = str(error).strip() or type(error).__name__
        raise ValueError(f"weights.npz cannot be unpacked ({said.splitlines()[0]})") from None
    for name, array in found.items():
        _check(name, array)
    return found


def _check(name: str, array: NDArray[Any]) -> None:
    """ValueError: it does not hold the numbers that it should."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds no numbers")
    # What was not measured may be unknown; everything that is computed with may not.
    if array.dtype.kind == "f" and (np.isinf(array).any() or (not name.startswith("trial") and np.isnan(array).any())):
        raise ValueError(f"{name} holds numbers that are none")
