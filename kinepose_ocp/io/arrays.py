"""NumPy archives of plain arrays: no pickled object is ever built."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file

UNREADABLE = (  # what the zip and array parsers raise on damaged bytes; a TypeError: a bare .npy array
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    KeyError,
    RuntimeError,
    TypeError,
)


def read_arrays(path: str | os.PathLike[str], wanted: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz`` file, all of them or those of some names that it has.

    Raises
    ------
    DataError
        For a file that is missing or damaged, and for pickled objects among the wanted arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files if wanted is None else [name for name in wanted if name in archive.files]
            return {name: archive[name] for name in names}
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable NumPy archive ({reason})") from None


def write_arrays(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Write plain arrays as a compressed ``.npz`` file, whole or not at all.

    Raises
    ------
    DataError
        For another ending, an array of objects, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: cannot write '{path.suffix}' files here; possible: .npz")
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise DataError(
                f"{path}: cannot be written: '{name}' is an array of objects, not of numbers or text"
            )
    values: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **values)
