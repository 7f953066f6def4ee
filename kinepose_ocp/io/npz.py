"""NumPy archives: ``position`` (T, K, 3) [m], ``names`` (K), ``rate`` [Hz], maybe ``confidence`` (T, K)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.arrays import UNREADABLE
from kinepose_ocp.io.sampling import sampling_rate
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.layouts import Layout

_ARRAYS = ("position", "names", "rate", "confidence")


def read(path: Path, layout: Layout | None, rate: float | None) -> xr.Dataset:
    """Read an archive; ``layout`` names the points and ``rate`` [Hz] gives the rate where it has none.

    Raises
    ------
    DataError
        For a damaged archive, pickled objects, or arrays that are missing or do not fit.
    """
    arrays, found = _load(path)
    if "names" not in arrays and layout is not None:
        arrays["names"] = np.array(layout.points)
    missing = [name for name in ("position", "names") if name not in arrays]
    if missing:
        listed = " and no ".join(f"array '{name}'" for name in missing)
        held = ", ".join(found) or "none"
        raise DataError(f"{path}: no {listed}; needed: position, names, rate; found: {held}")
    names = arrays["names"]
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"{path}: names must be a list of text, found {names.dtype} of shape {names.shape}")
    return make_keypoints(
        arrays["position"],
        np.char.decode(names, "utf-8").tolist() if names.dtype.kind == "S" else names.tolist(),
        rate=sampling_rate(_rate(arrays, path), rate, str(path)),
        confidence=arrays.get("confidence"),
        place=str(path),
    )


def _load(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays that are of use, and the names of all."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in _ARRAYS if name in archive}, list(archive)
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].split(". ")[0]
        raise DataError(f"{path}: not a readable .npz archive: {reason}") from None


def _rate(arrays: dict[str, np.ndarray], path: Path) -> float | None:
    if "rate" not in arrays:
        return None
    rate = arrays["rate"]
    if rate.size != 1 or rate.dtype.kind not in "iuf":
        raise DataError(f"{path}: rate must be one number [Hz], found {rate.dtype} of shape {rate.shape}")
    return float(rate.item())
