"""A motion as a far camera sees it: points and bones in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from kinepose_ocp.plotting.content import chain_of, points_of, side_of, variable


@dataclass(frozen=True)
class Scene:
    """A motion in the picture of a far camera: across, up, and towards the camera [m]; NaN = missing."""

    time: np.ndarray  # (T,) s
    joints: np.ndarray  # (T, J, 3)
    bones: np.ndarray  # (T, B, 2, 3)
    measured: np.ndarray  # (T, K, 3)
    sides: list[str]  # (B,)
    centre: np.ndarray  # (T, 2) the ground's origin moved to below the body
    corners: np.ndarray  # (2, 3) lowest and highest forward, left, up of the motion, not in the picture
    size: float  # m, diagonal of the body

    def points(self) -> np.ndarray:
        """All points in the picture: (T, P, 2)."""
        bones = self.bones.reshape(len(self.time), -1, 3)
        return np.concatenate([self.joints, bones, self.measured], axis=1)[..., :2]

    def around_centre(self) -> np.ndarray:
        """All points in the picture, relative to where the body stands: (T, P, 2)."""
        return self.points() - self.centre[:, None]

    @property
    def grid(self) -> float:
        """Distance between the lines of the ground [m]: 0.5 for a human, in tenfolds for other bodies."""
        return 0.5 * 10.0 ** round(math.log10(self.size))

    def ground(self) -> np.ndarray:
        """Lines of a square grid on the ground below the whole motion: (L, 2, 2)."""
        first = np.floor(self.corners[0] / self.grid - 0.5) * self.grid
        last = np.ceil(self.corners[1] / self.grid + 0.5) * self.grid
        floor = self.corners[0, 2]
        xs, ys = (np.arange(first[i], last[i] + self.grid / 2, self.grid) for i in (0, 1))
        along = [[(first[0], y, floor), (last[0], y, floor)] for y in ys]
        across = [[(x, first[1], floor), (x, last[1], floor)] for x in xs]
        return seen(np.array(along + across))[..., :2]


def scene_of(motion: xr.Dataset) -> Scene:
    """Gather points and bones, seen from the right front of the chain's frame."""
    chain = chain_of(motion)
    variable(motion, "joint_position", ("time", "joint", "space"))
    joints = points_of(motion, "joint_position", chain.joint_names, chain)
    measured = points_of(motion, "keypoint_observed", tuple(chain.keypoints), chain)
    tips = [name for name, site in chain.keypoints.items() if math.hypot(*site.offset) > 0.01]
    holders = [chain.joint_names.index(chain.keypoints[name].joint) for name in tips]
    children = [i for i, parent in enumerate(chain.parents) if parent >= 0]
    starts = joints[:, [chain.parents[i] for i in children] + holders]
    ends = np.concatenate([joints[:, children], points_of(motion, "keypoint_position", tips, chain)], axis=1)
    sides = [side_of(chain.joint_names[i])[1] for i in children]
    for name, holder in zip(tips, holders, strict=True):  # a toe without side has its foot's
        own = side_of(name)[1]
        sides.append(side_of(chain.joint_names[holder])[1] if own == "middle" else own)

    time = motion["time"].values
    body = np.concatenate([joints, ends], axis=1)
    low, high = np.fmin.reduce(body, axis=1), np.fmax.reduce(body, axis=1)
    sizes = np.linalg.norm(high - low, axis=1)
    size = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 0.0
    middle = _filled(time, (low + high) / 2)
    measured[np.linalg.norm(measured - middle[:, None], axis=2) > (size or np.inf)] = np.nan
    return Scene(
        time=time,
        joints=seen(joints),
        bones=seen(np.stack([starts, ends], axis=2)),
        measured=seen(measured),
        sides=sides,
        centre=seen(middle * [1, 1, 0])[:, :2],
        corners=np.nan_to_num(np.stack([np.fmin.reduce(low), np.fmax.reduce(high)])),
        size=size or 1.0,
    )


def seen(points: np.ndarray) -> np.ndarray:
    """Turn forward, left, up into across, up, towards a camera 35° before the right side and 12° up."""
    turn, rise = math.radians(35), math.radians(12)
    across = np.array([math.cos(turn), math.sin(turn), 0])
    level = np.array([math.sin(turn), -math.cos(turn), 0])
    up = np.array([0, 0, 1])
    towards = math.cos(rise) * level + math.sin(rise) * up
    return points @ np.stack([across, math.cos(rise) * up - math.sin(rise) * level, towards], axis=1)


def _filled(time: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate (T, 3) over the frames that are missing; zero when all are."""
    known = np.isfinite(points).all(axis=1)
    if not known.any():
        return np.zeros_like(points)
    return np.stack([np.interp(time, time[known], column[known]) for column in points.T], axis=1)


def box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of all finite points, with a margin."""
    flat = points.reshape(-1, 2)
    low, high = (np.nan_to_num(end.reduce(flat)) for end in (np.fmin, np.fmax))
    margin = 0.05 * (max(high - low) or 1.0)
    return low - margin, high + margin


def nearest(time: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the frame nearest to every wanted time."""
    return np.abs(time[:, None] - wanted).argmin(axis=0)
