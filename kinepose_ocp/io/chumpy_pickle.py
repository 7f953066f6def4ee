"""Pickled dictionaries of arrays, as SMPL's files are, read without running anything that is in them.

A pickle is a program. Here it may build NumPy arrays and inert stand-ins for sparse matrices and for the
arrays of chumpy (which is not needed), and look up nothing else: no other function or class is ever called.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from kinepose_ocp.errors import DataError

LARGEST = 2 * 2**30  # bytes; SMPL's files have some 40 to 300 MB
NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
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
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path}: {path.stat().st_size / 2**30:.1f} GiB are too many for a body model")
    try:
        content = _ArrayUnpickler(path.read_bytes()).load()
    except _RefusedError as error:
        raise DataError(f"{path}: refused, its pickle asks for {error}; allowed are arrays only") from None
    except Exception as error:  # a damaged pickle can raise anything that its remains lead to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable pickle of arrays ({reason})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a dictionary of arrays, found {type(content).__name__}")
    found = {_text(name): _array(value) for name, value in content.items()}
    return {name: array for name, array in found.items() if array is not None}


class _RefusedError(Exception):
    """A pickle asks for something that is not allowed; the text names it."""


class _Inert:
    """Stands for an object of a foreign class: keeps its state, does nothing."""

    kind = ""


class _ArrayUnpickler(pickle.Unpickler):
    """Finds what arrays are made of, nothing else.

    All that it hands out is made for this one file, so that a pickle cannot change what another one sees.
    """

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._allowed = _numpy_names() | {
            ("_codecs", "encode"): _latin1(),
            ("copy_reg", "_reconstructor"): _reconstructor(),
            ("copyreg", "_reconstructor"): _reconstructor(),
            ("__builtin__", "object"): type("object", (), {}),
            ("builtins", "object"): type("object", (), {}),
            ("__builtin__", "set"): set,  # chumpy keeps names in sets
            ("builtins", "set"): set,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return what the pickle asks for, or refuse."""
        if (module, name) in self._allowed:
            return self._allowed[module, name]
        chumpy = module.partition(".")[0] == "chumpy"
        if chumpy or (module.startswith("scipy.sparse") and name in COMPRESSED):
            return self._allowed.setdefault((module, name), type(name, (_Inert,), {"kind": name}))
        raise _RefusedError(f"{module}.{name}")


def _numpy_names() -> dict[tuple[str, str], Any]:
    """NumPy's own names for rebuilding an array of numbers."""
    from numpy._core.multiarray import _reconstruct  # the one function that numpy pickles an array with

    names: dict[tuple[str, str], Any] = {(module, "_reconstruct"): _reconstruct for module in NUMPY_MODULES}
    return names | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}


def _latin1() -> Callable[[str, str], bytes]:
    """Bytes of a text, as Python 3 writes bytes for Python 2."""
    return lambda text, encoding: text.encode("latin1")


def _reconstructor() -> Callable[[type, type, object], object]:
    """Make an empty stand-in, as old pickles do, and nothing but a stand-in."""

    def make(kind: type, base: type, state: object) -> object:
        if not (isinstance(kind, type) and issubclass(kind, _Inert)):
            raise _RefusedError(f"an object of {kind}")
        return kind()

    return make


# ---- what the objects hold -------------------------------------------------------------------------
def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _array(value: object) -> np.ndarray | None:
    """Array of numbers in an object of the pickle, or None."""
    if isinstance(value, _Inert):
        value = _held(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    return None


def _held(stand_in: _Inert) -> object:
    """Array that a stand-in stands for: chumpy's Ch holds ``x``, its Select picks from ``a``."""
    state = vars(stand_in)
    if stand_in.kind in COMPRESSED:
        shape = state.get("_shape", state.get("shape"))
        parts = tuple(np.asarray(state[name]) for name in ("data", "indices", "indptr"))
        return COMPRESSED[stand_in.kind](parts, shape=tuple(shape)).toarray()  # type: ignore[arg-type]
    if "x" in state:
        return _array(state["x"])
    if "a" in state and "idxs" in state:
        source = _array(state["a"])
        picked = None if source is None else source.ravel()[np.asarray(state["idxs"])]
        wanted = state.get("preferred_shape")
        return picked if wanted is None or picked is None else picked.reshape(wanted)
    return None
