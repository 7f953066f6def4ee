"""What a motion says that figures need: its chain, its variables, points in body axes, sides of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.errors import DataError, possible

SIDES = (
    re.compile(r"^(?:(right|left)[_-]?|([rl])[_-])(?=.)", re.IGNORECASE),  # right_knee, LeftKnee, r_knee
    re.compile(r"(?<=.)(?:[_-]?(right|left)|[_-]([rl]))$", re.IGNORECASE),  # knee_right, kneeLeft, knee_l
)


def chain_of(motion: xr.Dataset) -> Chain:
    """Read the chain of a motion from the text it carries."""
    if "chain_yaml" not in motion.attrs:
        raise DataError("motion has no attribute 'chain_yaml', the text of the chain it was solved with")
    return chain_from_yaml(motion.attrs["chain_yaml"], "attribute 'chain_yaml' of the motion")


def variable(motion: xr.Dataset, name: str, dims: tuple[str, ...]) -> xr.DataArray:
    """Return a variable with just these dimensions, in this order."""
    if name not in motion:
        raise DataError(f"motion has no variable '{name}'; {possible(name, map(str, motion.data_vars))}")
    if set(motion[name].dims) != set(dims):
        found = ", ".join(map(str, motion[name].dims))
        raise DataError(f"motion: '{name}' has dims {found}; possible: {', '.join(dims)} (select one case)")
    if not motion.sizes["time"]:
        raise DataError(f"motion: '{name}' has no frames; possible: 1 or more")
    return motion[name].transpose(*dims)


def points_of(motion: xr.Dataset, name: str, points: Sequence[str], chain: Chain) -> np.ndarray:
    """Forward, left, up of the named points (T, P, 3) [m]; NaN for what the motion does not have."""
    if name not in motion:
        return np.full((motion.sizes["time"], len(points), 3), np.nan)
    kind = "joint" if name.startswith("joint") else "keypoint"
    position = variable(motion, name, ("time", kind, "space"))
    found = position.reindex({kind: list(points), "space": ["x", "y", "z"]}).values.astype(float)
    axes = [chain.frame[axis] for axis in ("forward", "left", "up")]
    signs = [-1.0 if axis.startswith("-") else 1.0 for axis in axes]
    return found[..., ["xyz".index(axis[-1]) for axis in axes]] * signs


def side_of(name: str) -> tuple[str, str]:
    """Split a name into the rest and its side: right, left or middle."""
    for pattern in SIDES:
        if match := pattern.search(name):
            side = (match[1] or match[2])[0].lower()
            return name.replace(match[0], "", 1).lower(), "right" if side == "r" else "left"
    return name.lower(), "middle"
