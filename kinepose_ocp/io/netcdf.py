"""NetCDF-4: keypoints and motions in, any Dataset out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.io.sampling import check_given_rate, sampling_rate
from kinepose_ocp.keypoints import check_keypoints
from kinepose_ocp.layouts import Layout

_COMPRESSION = 2  # of 1 (fast) to 9 (small): noise hardly compresses further


def load(path: Path) -> xr.Dataset:
    """Return the whole Dataset of a file; time stays the number of elapsed seconds.

    Raises
    ------
    DataError
        For a file that is damaged or not NetCDF.
    """
    try:
        return xr.load_dataset(path, engine="netcdf4", decode_times=False)
    except (OSError, RuntimeError, ValueError, IndexError, KeyError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: not a readable NetCDF file: {reason.splitlines()[0]}") from None


def read(path: Path, layout: Layout | None, rate: float | None) -> xr.Dataset:
    """Read keypoints, also those that ``movement`` wrote; ``rate`` [Hz] where their time counts frames."""
    ds = load(path)
    if ds.attrs.get("time_unit") == "frames" and "time" in ds:
        seconds = ds["time"] / sampling_rate(None, rate, str(path))
        ds = ds.assign_coords(time=seconds).assign_attrs(time_unit="seconds")
    ds = check_keypoints(ds, str(path))
    check_given_rate(ds["time"].values, rate, str(path))
    return ds


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write a Dataset as NetCDF-4, arrays of floats compressed.

    Raises
    ------
    DataError
        For attributes that NetCDF cannot hold (bool, None, dict), or a place that cannot be written.
    """
    _check_attributes(dataset.attrs, "the dataset", path)
    for name, variable in dataset.variables.items():
        _check_attributes(variable.attrs, f"variable '{name}'", path)
    encoding: dict[Any, dict[str, Any]] = {name: {"_FillValue": None} for name in dataset.coords}
    for name, variable in dataset.variables.items():
        if variable.ndim and variable.dtype.kind == "f":
            encoding[name] = encoding.get(name, {}) | {"zlib": True, "complevel": _COMPRESSION}
    with whole_file(path) as temporary:
        try:
            plain = dataset.drop_encoding()  # of the file that the data may once have come from
            plain.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{path}: cannot be written as NetCDF: {str(error).splitlines()[0]}") from None


def _check_attributes(attributes: dict[Any, Any], owner: str, path: Path) -> None:
    for name, value in attributes.items():
        if not _storable(value):
            raise DataError(
                f"{path}: cannot be written: attribute '{name}' of {owner} is {value!r}; "
                "NetCDF attributes are text, a number or a list of numbers"
            )


def _storable(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim <= 1 and value.dtype.kind in "iuf"
    items = value if isinstance(value, (list, tuple)) else [value]
    kinds = (str, int, float, np.integer, np.floating)
    return all(isinstance(item, kinds) and not isinstance(item, bool) for item in items)
