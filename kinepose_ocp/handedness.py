"""Whether left and right of measured points are as the chain has them.

A swap of left and right, or axes that are left-handed, fits a symmetric chain almost as well as the truth:
only knees, elbows and the face then point backwards, and the solution is wrong without looking so.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.kinematics import Kinematics

POSES = 200  # random poses of the chain that say which volumes keep their sign
STEADY = 0.8  # mean sign over the poses, from which a volume is believed
CLEARLY = 0.15  # of the mean size of these volumes in the random poses
FREE_TURN = np.radians(45.0)  # rad (or m); how far a DOF without limits goes in the random poses
MOST_POINTS, MOST_FRAMES = 20, 300  # enough for a vote, and cheap for any chain and length


def seems_mirrored(chain: Chain, keypoints: xr.Dataset) -> bool:
    """Tell whether the points look like the mirror image of what the chain can do.

    Four points span a volume whose sign changes in a mirror. Those volumes whose sign is nearly the same in
    random poses inside the ROMs vote, by their size, over all frames: hip, knee and ankle with the other hip
    (knees bend backwards), nose and neck with the shoulders (the face looks forward), and so on, whatever
    they are called.

    It notices left and right swapped on the whole body, and mirrored axes, once limbs bend or a face is
    measured. It cannot notice a swap in few of the frames or on one limb only, nor anything on a body that is
    straight throughout, measured without a face, or whose joints have no narrow ROMs: then it says False.

    Parameters
    ----------
    keypoints
        Measured positions [m] under the chain's keypoint names; missing ones do not vote.
    """
    names = _names(chain, keypoints)
    steady, size = _steady_volumes(chain, names)
    if not len(steady):
        return False
    points = keypoints.sel(keypoint=names)
    trusted = (points["confidence"] > 0).transpose("time", "keypoint").values
    position = points["position"].transpose("time", "keypoint", "space").values
    position = np.where(trusted[..., None], position, np.nan)
    position = position[:: max(1, len(position) // MOST_FRAMES)]
    vote = _volumes(position, steady[:, :4]) * steady[:, 4]
    return bool(np.isfinite(vote).any() and np.nanmean(vote) < -CLEARLY * size)


def _names(chain: Chain, keypoints: xr.Dataset) -> list[str]:
    """The measured keypoints that the chain has, at most so many, spread over its tree."""
    names = [name for name in chain.keypoints if name in keypoints["keypoint"].values]
    if len(names) <= MOST_POINTS:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, MOST_POINTS).astype(int)]


def _steady_volumes(chain: Chain, names: list[str]) -> tuple[np.ndarray, float]:
    """Rows of four point indices and a sign (M, 5), and the mean size of these volumes [1]."""
    fours = np.array(list(combinations(range(len(names)), 4)), dtype=int).reshape(-1, 4)
    dofs = list(chain.free_dofs.values())
    lower = np.array([dof.lower if np.isfinite(dof.lower) else -FREE_TURN for dof in dofs])
    upper = np.array([dof.upper if np.isfinite(dof.upper) else max(FREE_TURN, dof.lower) for dof in dofs])
    q = lower + (upper - lower) * np.random.default_rng(0).random((POSES, len(dofs)))
    columns = [list(chain.keypoints).index(name) for name in names]
    volumes = _volumes(Kinematics(chain)(q).keypoint_position[:, columns], fours)
    sign = np.sign(np.where(np.abs(volumes) < 1e-3, 0, volumes)).mean(axis=0)
    steady = np.abs(sign) >= STEADY
    size = float(np.abs(volumes[:, steady]).mean()) if steady.any() else 0.0
    return np.column_stack([fours[steady], np.sign(sign[steady]).astype(int)]), size


def _volumes(position: np.ndarray, fours: np.ndarray) -> np.ndarray:
    """Signed volumes (T, M) of four points each, divided by the product of three edges: -1 to 1."""
    corner = position[:, fours[:, 0]]
    a, b, c = (position[:, fours[:, i]] - corner for i in (1, 2, 3))
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) * np.linalg.norm(c, axis=-1)
    return (np.cross(a, b) * c).sum(axis=-1) / np.maximum(lengths, 1e-9)
