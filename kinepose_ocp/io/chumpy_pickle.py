"""Pickled dictionaries of arrays, as SMPL's files are, read without running anything that is in them.

A pickle is a program. Here it may build numbers, texts, lists, dictionaries and sets, and inert stand-ins for
arrays of NumPy, sparse matrices of SciPy and arrays of chumpy (which is not needed): these keep what the
pickle says of them and do nothing. No function or class of NumPy or of any other package is found or called
while the pickle is read; arrays are made afterwards, from plain bytes, of numbers only.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from kinepose_ocp.errors import DataError

LARGEST = 2 * 2**30  # bytes; SMPL's files have some 40 to 300 MB
RECONSTRUCT = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"))
COMPRESSED = {
    "csc_matrix": csc_matrix,
    "csr_matrix": csr_matrix,
    "csc_array": csc_matrix,
    "csr_array": csr_matrix,
}


def read_pickled_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the numeric arrays of a pickled dictionary (.pkl); what is no array of numbers is left out.

    Raises
    ------
    DataError
        For a file that is missing, damaged, no dictionary, or that asks for anything but arrays.
    """
    return _read(path, _arrays)


def read_pickled(path: str | os.PathLike[str]) -> Any:
    """Read a pickle (.pkl) of dictionaries, lists, texts, numbers and arrays; None stands for anything else.

    Raises
    ------
    DataError
        For a file that is missing, damaged, or that asks for anything but arrays.
    """
    return _read(path, _plain)


def _read(path: str | os.PathLike[str], made_of: Callable[[object], Any]) -> Any:
    """What is made of the content of a pickle, in which stand-ins are; damage shows here at the latest."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path}: {path.stat().st_size / 2**30:.1f} GiB are too many for a body model")
    try:
        return made_of(_ArrayUnpickler(path.read_bytes()).load())
    except _RefusedError as error:
        raise DataError(f"{path}: refused, its pickle asks for {error}; allowed are arrays only") from None
    except Exception as error:  # a damaged pickle can raise anything that its remains lead to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable pickle of arrays ({reason})") from None


def _arrays(content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise TypeError(f"no dictionary but {type(content).__name__}")
    found = {str(name): _array(value) for name, value in content.items()}
    return {name: array for name, array in found.items() if array is not None}


def _plain(content: object) -> Any:
    """Content with arrays where stand-ins are; tuples become lists."""
    if isinstance(content, dict):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return content if isinstance(content, (str, bool, int, float)) else _array(content)


class _RefusedError(Exception):
    """A pickle asks for something that is not allowed; the text names it."""


# ---- what a pickle may build -----------------------------------------------------------------------
class _Inert:
    """Stands for an object of a foreign class: keeps what it is made of and its state, does nothing."""

    kind = ""
    made_of: tuple[object, ...] = ()
    state: Any = None

    def __init__(self, *made_of: object):
        self.made_of = made_of

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ArrayUnpickler(pickle.Unpickler):
    """Finds stand-ins, nothing else.

    All that it hands out is made for this one file, so that a pickle cannot change what another one sees.
    """

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        array = self._stand_in("ndarray")
        self._found: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): array,
            ("numpy", "dtype"): self._stand_in("dtype"),
            ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
        }
        self._found |= {name: lambda *ignored: array() for name in RECONSTRUCT}
        self._found |= {(module, "scalar"): self._stand_in("scalar") for module, _ in RECONSTRUCT}
        for module in ("__builtin__", "builtins"):
            self._found[module, "set"] = set  # chumpy keeps names in sets
            self._found[module, "object"] = self._stand_in("object")
        for module in ("copy_reg", "copyreg"):
            self._found[module, "_reconstructor"] = lambda kind, *ignored: _empty(kind)

    @staticmethod
    def _stand_in(kind: str) -> type[_Inert]:
        return type(kind, (_Inert,), {"kind": kind})

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for the thing that the pickle asks for, or refuse."""
        if (module, name) in self._found:
            return self._found[module, name]
        if module.partition(".")[0] == "chumpy" or (module.startswith("scipy.sparse") and name in COMPRESSED):
            return self._found.setdefault((module, name), self._stand_in(name))
        raise _RefusedError(f"{module}.{name}")


def _empty(kind: object) -> _Inert:
    """Make an object as old pickles do: here a stand-in, and nothing but a stand-in."""
    if not (isinstance(kind, type) and issubclass(kind, _Inert)):
        raise _RefusedError(f"an object of {kind}")
    return kind()


# ---- what the stand-ins hold -----------------------------------------------------------------------
def _array(value: object) -> np.ndarray | None:
    """Array that a stand-in stands for, or None: chumpy's Ch holds ``x``, its Select picks from ``a``."""
    if not isinstance(value, _Inert):
        return None
    if value.kind == "ndarray":
        return _of_bytes(*value.state)
    if value.kind == "scalar":
        kind, content = value.made_of
        return _of_bytes(1, (), cast(_Inert, kind), False, content)
    state = value.state
    if not isinstance(state, dict):
        return None
    if value.kind in COMPRESSED:
        return _of_compressed(value.kind, state)
    if "x" in state:
        return _array(state["x"])
    source, picked = _array(state.get("a")), _array(state.get("idxs"))
    if source is None or picked is None:
        return None
    shape = state.get("preferred_shape")
    return source.ravel()[picked] if shape is None else source.ravel()[picked].reshape(shape)


def _of_bytes(
    version: int, shape: tuple[int, ...], kind: _Inert, fortran: bool, content: object
) -> np.ndarray | None:
    """Array of the state that NumPy pickles: shape, type, order of axes, bytes; None if not of numbers."""
    code = str(kind.made_of[0])
    if not re.fullmatch(r"[biuf]\d{1,2}", code):
        return None
    order = str(kind.state[1]) if kind.state else "|"
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(content, bytes):
        raise TypeError("an array without bytes")
    flat = np.frombuffer(content, np.dtype(("<" if order == "|" else order) + code))
    return flat.astype(code).reshape(shape, order="F" if fortran else "C")


def _of_compressed(kind: str, state: dict[str, Any]) -> np.ndarray:
    """Dense array of a sparse matrix, whose indices are checked first."""
    parts = tuple(_array(state.get(name)) for name in ("data", "indices", "indptr"))
    if any(part is None for part in parts):
        raise TypeError(f"a {kind} without data")
    matrix = COMPRESSED[kind](parts, shape=tuple(state["_shape"]))
    matrix.check_format(full_check=True)
    return matrix.toarray()
