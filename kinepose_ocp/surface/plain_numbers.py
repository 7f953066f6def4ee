"""Arrays from outside made numbers: floats, or whole numbers, and nothing else in their place."""

from __future__ import annotations

from typing import Any

import numpy as np

from kinepose_ocp.errors import DataError, KineposeError

KINDS = {"U": "text", "S": "text", "b": "true or false", "c": "complex numbers", "O": "objects"}


def floats(values: Any, what: str, error: type[KineposeError] = DataError) -> np.ndarray:
    """Return values as an array of floats.

    Raises
    ------
    DataError or the ``error`` given
        For anything but real numbers: ``what`` they should be is named.
    """
    found = _array(values, what, "numbers", error)
    return found.astype(float, copy=False)


def whole_numbers(values: Any, what: str, error: type[KineposeError] = DataError) -> np.ndarray:
    """Return values as an array of integers; nothing is rounded.

    Raises
    ------
    DataError or the ``error`` given
        For anything but whole numbers: ``what`` they should be is named.
    """
    found = _array(values, what, "whole numbers", error)
    if found.dtype.kind == "f":
        off = ~(np.isfinite(found) & (found == np.round(found)))
        if off.any():
            raise error(f"{what} must be whole numbers, found {found[off].flat[0]:g}")
    return found.astype(np.int64, copy=False)


def _array(values: Any, what: str, wanted: str, error: type[KineposeError]) -> np.ndarray:
    try:
        found = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise error(f"{what} must be {wanted} in rows of equal length") from None
    if found.dtype.kind not in "fiu":
        raise error(f"{what} must be {wanted}, found {KINDS.get(found.dtype.kind, found.dtype)}")
    return found
