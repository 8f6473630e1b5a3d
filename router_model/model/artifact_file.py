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

# The limit on unpacked weights, so that an invalid file cannot exhaust the gateway's memory.
MOST_BYTES = 512 * 1024 * 1024
MOST_HEADER_BYTES = 4 * 1024 * 1024


def read(path: Path, most: int) -> bytes:
    """Read a regular file. OSError: it is missing, too large, or not regular: a pipe may block, a device never end."""
    if not path.is_file():
        raise OSError("it is not a regular file" if path.exists() else "No such file")
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
    """The packed arrays. ValueError, in one line: the data is invalid, or an array is not numeric."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(member.file_size for member in packed.infolist()) > MOST_BYTES:
                raise ValueError(f"it would take more than {MOST_BYTES} bytes unpacked")
        # Nothing is written to disk, so member names cannot escape a folder; pickled objects are not loaded.
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    # The exceptions of zipfile and NumPy for invalid data.
    except (
        *(ValueError, TypeError, AttributeError, OSError, EOFError, MemoryError, RuntimeError, SyntaxError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        reason = str(error).strip() or type(error).__name__
        raise ValueError(f"weights.npz cannot be unpacked ({reason.splitlines()[0]})") from None
    for name, array in found.items():
        _check(name, array)
    return found


def _check(name: str, array: NDArray[Any]) -> None:
    """ValueError: it is not an array of finite numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} is not an array of numbers")
    # NaN marks unknown values in held-out tables; it is invalid everywhere else.
    if array.dtype.kind == "f" and (np.isinf(array).any() or (not name.startswith("trial") and np.isnan(array).any())):
        raise ValueError(f"{name} has values that are NaN or infinite")
