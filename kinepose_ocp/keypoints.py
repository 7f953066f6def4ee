"""The keypoints of a motion: one ``xarray.Dataset``, whatever file or program it came from.

Dims ``time`` [s], ``keypoint`` (names), ``space`` (x, y, z); ``position`` [m], NaN where a point is missing;
``confidence`` [1], the weight of its squared residual, 0 where it is missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.layouts import Layout

DIMS = ("time", "keypoint", "space")
SPACE = ("x", "y", "z")
_PLURALS = {"keypoints": "keypoint", "individuals": "individual"}  # as older `movement` datasets call them
_UNITS = {"position": ("m", "metre", "metres", "meter", "meters"), "time": ("s", "second", "seconds")}


# ---- making ----------------------------------------------------------------------------------
def make_keypoints(
    position: ArrayLike,
    names: Sequence[str],
    *,
    rate: float | None = None,
    time: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    place: str = "keypoints",
) -> xr.Dataset:
    """Make the keypoints Dataset of plain arrays: what every reader ends with.

    Parameters
    ----------
    position
        (T, K, 3) [m]; NaN = missing.
    names
        The K names of the points.
    rate
        Sampling rate [Hz]; the first frame is at 0 s. Give either this or ``time``.
    time
        (T,) elapsed seconds, increasing.
    confidence
        (T, K) in 0..1; default 1. NaN counts as 0, as does a missing position.
    place
        What errors call the data, e.g. the path of its file.

    Raises
    ------
    DataError
        For everything that :func:`check_keypoints` refuses, and arrays whose shapes do not fit.
    """
    if (rate is None) == (time is None):
        raise DataError(f"{place}: give either the sampling rate [Hz] or the times [s]")
    values = _floats(position, "position", place)
    names = [str(name) for name in names]
    if values.ndim != 3 or values.shape[1:] != (len(names), 3):
        raise DataError(
            f"{place}: position has shape {values.shape}; {len(names)} names need (frames, {len(names)}, 3)"
        )
    if rate is not None:
        time = np.arange(len(values)) / check_rate(rate, place)
    times = _floats(time, "time", place)
    weights = np.ones(values.shape[:2]) if confidence is None else _floats(confidence, "confidence", place)
    for name, found, needed in [("time", times, values.shape[:1]), ("confidence", weights, values.shape[:2])]:
        if found.shape != needed:
            raise DataError(f"{place}: {name} has shape {found.shape}; position needs {needed}")
    given = xr.Dataset(
        {"position": (DIMS, values), "confidence": (DIMS[:2], np.where(np.isnan(weights), 0.0, weights))},
        {"time": times, "keypoint": names, "space": list(SPACE)},
    )
    return check_keypoints(given, place)


def check_rate(rate: float, place: str) -> float:
    """Return the sampling rate [Hz] if it is one; ``place`` names its source in the error."""
    if not (math.isfinite(rate) and rate > 0):
        raise DataError(f"{place}: a sampling rate of {rate:g} Hz is not possible; it must be above 0")
    return float(rate)


# ---- checking --------------------------------------------------------------------------------
def check_keypoints(ds: xr.Dataset, place: str = "keypoints") -> xr.Dataset:
    """Return the dataset in the form that the rest of kinepose_ocp relies on.

    A dataset of the ``movement`` package is taken as it is: with a dim for its one individual, plural
    names of dims, and a confidence that is NaN throughout where none was given (it then counts as 1).
    A point of which a coordinate is missing is missing. Only text and numbers of the attributes are kept.

    Raises
    ------
    DataError
        For missing variables, other dims or units, no frame, times that are not finite and increasing,
        names given twice, infinite positions, confidence outside 0..1, several individuals, or no usable
        point at all; the message starts with ``place``.
    """
    ds = _one_individual(ds, place)
    values, names = _position(ds, place), [str(name) for name in ds["keypoint"].values]
    time = _time(ds, place)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{place}: keypoint names must be unique; given more than once: {', '.join(twice)}")
    if np.isinf(values).any():
        frame, point, _ = np.argwhere(np.isinf(values))[0]
        where = f"'{names[point]}' at {time[frame]:g} s"
        raise DataError(f"{place}: position of {where} is infinite; NaN means missing")
    missing = np.isnan(values).any(axis=2)
    values[missing] = np.nan
    confidence = _confidence(ds, place)
    outside = ~((confidence >= -1e-6) & (confidence <= 1 + 1e-6))  # the rounding of float32
    if outside.any():
        frame, point = np.argwhere(outside)[0]
        where = f"'{names[point]}' at {time[frame]:g} s"
        raise DataError(f"{place}: confidence {confidence[frame, point]:g} of {where} is outside 0..1")
    confidence = np.where(missing, 0.0, np.clip(confidence, 0, 1))
    if not confidence.any():
        raise DataError(f"{place}: no usable point: every position is missing (NaN) or has confidence 0")
    return xr.Dataset(
        {
            "position": (DIMS, values, {"units": "m"}),
            "confidence": (DIMS[:2], confidence, {"units": "1"}),
        },
        {"time": ("time", time, {"units": "s"}), "keypoint": names, "space": list(SPACE)},
        {name: value for name, value in ds.attrs.items() if _is_plain(value)},
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float, np.number)) and not isinstance(value, bool)


def _one_individual(ds: xr.Dataset, place: str) -> xr.Dataset:
    """Return the dataset with singular dims and without the dim of its only individual."""
    if not isinstance(ds, xr.Dataset):
        raise DataError(f"{place}: keypoints are an xarray.Dataset, found {type(ds).__name__}")
    plural = "individuals" if "individuals" in ds.dims else "individual"
    if plural in ds.dims:
        if ds.sizes[plural] != 1:
            names = [str(name) for name in ds[plural].values]
            example = f"; select one, e.g. ds.sel({plural}='{names[0]}')" if names else ""
            found = f"{len(names)}: {', '.join(names)}" if names else "none"
            raise DataError(f"{place}: one individual is needed, found {found}{example}")
        ds = ds.isel({plural: 0}, drop=True)
    return ds.rename({old: new for old, new in _PLURALS.items() if old in ds.variables or old in ds.dims})


def _position(ds: xr.Dataset, place: str) -> np.ndarray:
    """Return the positions (time, keypoint, space) [m] as a copy."""
    if "position" not in ds.data_vars:
        raise DataError(f"{place}: no variable 'position'; {possible('position', map(str, ds.data_vars))}")
    position = ds["position"]
    if set(position.dims) != set(DIMS):
        found = ", ".join(map(str, position.dims))
        raise DataError(f"{place}: position has dims {found}; needed: {', '.join(DIMS)}")
    for name in DIMS[:2]:
        if name not in ds.coords:
            raise DataError(f"{place}: no coordinate '{name}'; {possible(name, map(str, ds.coords))}")
        if ds.sizes[name] == 0:
            raise DataError(f"{place}: there is no {'frame' if name == 'time' else 'keypoint'}")
    axes = list(map(str, ds["space"].values)) if "space" in ds.coords else list(SPACE)
    if sorted(axes) != list(SPACE) or ds.sizes["space"] != 3:
        raise DataError(f"{place}: space has {ds.sizes['space']} axes ({', '.join(axes)}); needed: x, y, z")
    _check_units(position, "position", place)
    order = [axes.index(axis) for axis in SPACE]
    return _floats(position.transpose(*DIMS).values, "position", place)[:, :, order]


def _time(ds: xr.Dataset, place: str) -> np.ndarray:
    """Return the times [s]: finite and increasing."""
    if ds.attrs.get("time_unit") == "frames":  # movement, when it was not told the sampling rate
        raise DataError(f"{place}: time counts frames; elapsed seconds are needed: load it with fps (Hz)")
    _check_units(ds["time"], "time", place)
    time = _floats(ds["time"].values, "time", place)
    lost = np.flatnonzero(~np.isfinite(time))
    if lost.size:
        raise DataError(f"{place}: time of frame {lost[0] + 1} is not a finite number")
    back = np.flatnonzero(np.diff(time) <= 0)
    if back.size:
        before, after = time[back[0]], time[back[0] + 1]
        found = f"frame {back[0] + 2} is at {after:g} s after {before:g} s"
        raise DataError(f"{place}: time must increase; {found}")
    return time


def _confidence(ds: xr.Dataset, place: str) -> np.ndarray:
    """Return the confidence (time, keypoint): 1 where the dataset has none, 0 where it is NaN."""
    if "confidence" not in ds:
        return np.ones((ds.sizes["time"], ds.sizes["keypoint"]))
    dims = ds["confidence"].dims
    if set(dims) != set(DIMS[:2]):
        raise DataError(f"{place}: confidence has dims {', '.join(map(str, dims))}; needed: time, keypoint")
    values = _floats(ds["confidence"].transpose(*DIMS[:2]).values, "confidence", place)
    if np.isnan(values).all():  # how movement says that none was given
        return np.ones(values.shape)
    return np.where(np.isnan(values), 0.0, values)


def _check_units(array: xr.DataArray, name: str, place: str) -> None:
    units = array.attrs.get("units", _UNITS[name][0])
    if units not in _UNITS[name]:
        raise DataError(f"{place}: {name} is in '{units}'; possible: '{_UNITS[name][0]}'")


def _floats(values: ArrayLike | None, name: str, place: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{place}: {name} is no regular array: its rows differ in length") from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"{place}: {name} must be numbers, found {array.dtype}")
    return array.astype(float)


# ---- fitting a chain -------------------------------------------------------------------------
def for_chain(
    ds: xr.Dataset, chain: Chain, layout: Layout | None = None, place: str = "keypoints"
) -> xr.Dataset:
    """Return the dataset under the chain's own keypoint names, in the chain's order.

    Points that the chain does not know are left out and named in the attribute ``ignored_keypoints``;
    keypoints that were not measured are not added. A point that stands for several keypoints is repeated.

    Parameters
    ----------
    layout
        Says which keypoints a point stands for; without it the points have the chain's own names.

    Raises
    ------
    DataError
        For what :func:`check_keypoints` refuses, no point in common, or two points for one keypoint.
    """
    ds = check_keypoints(ds, place)
    points = [str(name) for name in ds["keypoint"].values]
    source: dict[str, str] = {}
    for point in points:
        for keypoint in (point,) if layout is None else layout.targets.get(point, ()):
            if keypoint in source:
                raise DataError(
                    f"{place}: points '{source[keypoint]}' and '{point}' both stand for keypoint '{keypoint}'"
                )
            if keypoint in chain.keypoints:
                source[keypoint] = point
    if not source:
        read_as = f", read with layout '{layout.name}'," if layout else ""
        raise DataError(
            f"{place}: no point in common with chain '{chain.name}': the points{read_as} are "
            f"{', '.join(points)}; the keypoints of the chain are {', '.join(chain.keypoints)}"
        )
    names = [name for name in chain.keypoints if name in source]
    found = ds.sel(keypoint=[source[name] for name in names]).assign_coords(keypoint=names)
    ignored = [point for point in points if point not in source.values()]
    if ignored:
        found.attrs["ignored_keypoints"] = ", ".join(ignored)
    return check_keypoints(found, place)


def check_size(ds: xr.Dataset, chain: Chain, place: str = "keypoints") -> None:
    """Refuse positions that cannot be metres: distances far from those of the chain at rest.

    The median over frames and pairs of keypoints is compared, so that neither a pose, nor missing points,
    nor a few outliers matter. Fewer than two points in common with the chain tell nothing.

    Raises
    ------
    DataError
        When the ratio of the medians is outside 0.2..5, or all points of each frame coincide.
    """
    names = [str(name) for name in ds["keypoint"].values if str(name) in chain.keypoints]
    position = ds["position"].sel(keypoint=names).transpose(*DIMS).values
    position = position[:: max(1, len(position) // 500)]  # enough for a median, and cheap for any length
    rest = _rest_positions(chain)
    expected = _distances(np.array([[rest[name] for name in names]]).reshape(1, -1, 3))
    measured = _distances(position)
    known = np.isfinite(measured) & (expected > 1e-3)  # m; keypoints at one place at rest tell no size
    if not known.any():
        return
    if not measured[known].any():
        raise DataError(f"{place}: in every frame all points coincide; no distance between them is above 0")
    known &= measured > 0  # one point repeated for several keypoints
    ratio = float(np.median(measured[known]) / np.median(np.broadcast_to(expected, known.shape)[known]))
    if 0.2 <= ratio <= 5:
        return
    found = f"distances between points are {ratio:.3g} times those of chain '{chain.name}'"
    for unit, factor in (("millimetres", 1000), ("centimetres", 100)):
        if abs(math.log10(ratio / factor)) < 0.5:
            advice = f"looks like {unit}; positions are in metres: divide by {factor}"
            raise DataError(f"{place}: {advice} ({found})")
    raise DataError(f"{place}: positions are in metres, but {found}; possible: 0.2 to 5 times")


def _distances(position: np.ndarray) -> np.ndarray:
    """Distances (T, pairs) [m] between all pairs of the points (T, K, 3)."""
    first, second = np.triu_indices(position.shape[1], k=1)
    return np.linalg.norm(position[:, first] - position[:, second], axis=2)


def _rest_positions(chain: Chain) -> dict[str, np.ndarray]:
    """Position [m] of every keypoint with all DOFs at zero, in the frame that the root hangs in."""
    frames: dict[str | None, tuple[np.ndarray, Rotation]] = {None: (np.zeros(3), Rotation.identity())}
    for joint in chain.joints:
        origin, turned = frames[joint.parent]
        w, x, y, z = joint.orientation
        frames[joint.name] = origin + turned.apply(joint.offset), turned * Rotation.from_quat([x, y, z, w])
    return {
        name: frames[site.joint][0] + frames[site.joint][1].apply(site.offset)
        for name, site in chain.keypoints.items()
    }
