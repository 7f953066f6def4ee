"""File formats: one file each; the tables of readers and writers.

A new format is one file with ``read(path, layout, rate)`` or ``write(dataset, path)``, and one line here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.io import csv_table, kinepose_txt, netcdf, npz, trc
from kinepose_ocp.keypoints import check_rate, for_chain
from kinepose_ocp.layouts import Layout, load_layout

READERS: dict[str, Callable[[Path, Layout | None, float | None], xr.Dataset]] = {
    ".csv": csv_table.read,
    ".nc": netcdf.read,
    ".npz": npz.read,
    ".trc": trc.read,
    ".txt": kinepose_txt.read,
}
WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {
    ".csv": csv_table.write,
    ".nc": netcdf.write,
}


def read_keypoints(
    path: str | os.PathLike[str],
    *,
    layout: str | Layout | None = None,
    chain: Chain | None = None,
    rate: float | None = None,
) -> xr.Dataset:
    """Read a keypoint file of any format in :data:`READERS`, told by its ending.

    Parameters
    ----------
    layout
        Names the points of a file that has none (``.txt``: h36m17 by default) and says which keypoints of
        ``chain`` they are.
    chain
        Return the points under this chain's keypoint names, in its order; others are left out.
    rate
        Sampling rate [Hz], where the file has none.

    Returns
    -------
    xarray.Dataset
        Keypoints; attributes ``source_file`` (name) and ``input_sha256`` (of the file's bytes).

    Raises
    ------
    DataError
        For a file that is not there, of another format, damaged, or whose content is not usable.
    ModelError
        When there is no layout of that name.
    """
    path = _existing(path, READERS)
    if rate is not None:
        check_rate(rate, str(path))
    if layout is None and path.suffix.lower() == ".txt":
        layout = kinepose_txt.LAYOUT
    if isinstance(layout, str):
        layout = load_layout(layout, chain)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        ds = READERS[path.suffix.lower()](path, layout, rate)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    if chain is not None:
        ds = for_chain(ds, chain, layout, str(path))
    return ds.assign_attrs(source_file=path.name, input_sha256=digest)


def read_motion(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a motion that was written with :func:`write` (NetCDF).

    Raises
    ------
    DataError
        For a file that is not there, damaged, or no motion.
    """
    path = _existing(path, [".nc"])
    ds = netcdf.load(path)
    if "joint_angle" not in ds:
        found = ", ".join(map(str, ds.data_vars)) or "none"
        raise DataError(f"{path}: not a motion: no variable 'joint_angle'; its variables: {found}")
    return ds


def write(dataset: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset to a file of any format in :data:`WRITERS`, told by its ending; whole or not at all.

    Raises
    ------
    DataError
        For another ending, content that the format cannot hold, or a place that cannot be written.
    """
    path = Path(path)
    _check_ending(path, WRITERS, "write")
    WRITERS[path.suffix.lower()](dataset, path)


def _existing(path: str | os.PathLike[str], endings: Iterable[str]) -> Path:
    path = Path(path)
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; give a file ending in {', '.join(endings)}")
        if not path.exists():
            if not path.parent.is_dir():
                raise DataError(f"{path}: no such file: there is no folder '{path.parent}'")
            near = sorted(other.name for other in path.parent.iterdir() if other.suffix.lower() in endings)
            raise DataError(f"{path}: no such file; {possible(path.name, near)}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    _check_ending(path, endings, "read")
    return path


def _check_ending(path: Path, endings: Iterable[str], verb: str) -> None:
    if path.suffix.lower() not in endings:
        options = ", ".join(endings)
        raise DataError(f"{path}: cannot {verb} files ending in '{path.suffix}'; possible: {options}")
