"""Segment lengths of a subject, from the keypoints of the whole motion.

Two keypoints with no (or hardly any) motion between them keep their distance: its median over the motion
is robust against the bone-length noise of detectors. The lengths of all segments are those that explain these
distances best; what no distance shows is scaled with the rest of the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import xarray as xr
from scipy.optimize import least_squares

from kinepose_ocp.anatomy import NEAR_AXIS, SAME_PLACE, TURN, Anatomy
from kinepose_ocp.chain import Chain

RIGID = 0.35  # rad; two keypoints with less motion in between keep their distance
SPREAD = 0.3  # standard deviation of a segment's log-length about the body's
DISTANCE_SPREAD = (
    0.003  # standard deviation of the log-distance of a rigid pair; beyond it the loss is linear
)
PLAY_SPREAD = 0.1  # and what a radian of play adds to it
STIFF_PLAY = 0.01  # rad; pairs with hardly more play than the stiffest show the noise
SHORTEST = 0.02  # m; keypoints closer than this say nothing about lengths
UNEVEN = 1.002  # ratio of left to right above which the chain means them to differ
MIRROR = 0.03  # m; two segments this close to each other's mirror image are a left-right pair


@dataclass(frozen=True)
class _Segment:
    """An offset that can be stretched: of a joint from its parent, or of a keypoint from its joint."""

    name: str
    is_joint: bool
    rest: np.ndarray  # (3,) m, in the world at rest
    end: np.ndarray  # (3,) m, where it ends at rest


def with_estimated_lengths(chain: Chain, keypoints: xr.Dataset, symmetric: bool = True) -> Chain:
    """Return the chain with the subject's segment lengths.

    Parameters
    ----------
    keypoints
        Measured positions [m] under the chain's keypoint names.
    symmetric
        Left and right segments get the same length.
    """
    names = [str(name) for name in keypoints.keypoint.values if str(name) in chain.keypoints]
    anatomy = Anatomy(chain, names)
    seen = keypoints.sel(keypoint=names)
    position = seen.position.transpose("time", "keypoint", "space").values
    position = np.where(
        (seen.confidence.transpose("time", "keypoint").values > 0)[..., None], position, np.nan
    )
    segments = _segments(anatomy, names)
    paths, measured, spread = _distances(anatomy, position, segments)
    if not len(paths):
        return chain
    groups = _groups(chain, segments) if symmetric else _joined(np.arange(len(segments)), segments)
    rest = np.array([segment.rest for segment in segments])
    own = np.linalg.norm(rest, axis=1)
    mean = np.bincount(groups, own)[groups] / np.bincount(groups)[groups]  # left and right start alike
    scale = _fit(rest * (mean / own)[:, None], paths, measured, spread, groups)
    lengths: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for segment, length in zip(segments, scale * mean, strict=True):
        lengths[segment.is_joint][segment.name] = float(length)
    return chain.with_lengths(lengths[True], lengths[False])


def _segments(anatomy: Anatomy, names: Sequence[str]) -> list[_Segment]:
    """All offsets of the chain that have a length."""
    chain = anatomy.chain
    rotation, position = anatomy.placed_at_rest
    found = []
    for i, joint in enumerate(chain.joints):
        if joint.parent is not None and any(joint.offset):
            rest = rotation[chain.parents[i]] @ np.array(joint.offset)
            found.append(_Segment(joint.name, True, rest, position[i]))
    index = {name: i for i, name in enumerate(chain.joint_names)}
    for name, site in chain.keypoints.items():
        if any(site.offset):
            rest = rotation[index[site.joint]] @ np.array(site.offset)
            found.append(_Segment(name, False, rest, position[index[site.joint]] + rest))
    return found


def _distances(
    anatomy: Anatomy, position: np.ndarray, segments: list[_Segment]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed segments (D, S) on the path of every rigid pair, measured distance (D,) [m], spread (D,)."""
    place = {(segment.name, segment.is_joint): i for i, segment in enumerate(segments)}
    routes = [_route(anatomy, k, place) for k in range(len(anatomy.measured))]
    paths, distances, plays = [], [], []
    for a, b in combinations(range(len(anatomy.measured)), 2):
        path = routes[b] - routes[a]
        rest = np.linalg.norm(anatomy.points_at_rest[a] - anatomy.points_at_rest[b])
        play = _play(anatomy, a, b)
        if rest < SHORTEST or not path.any() or play > RIGID:
            continue
        distance = np.linalg.norm(position[:, a] - position[:, b], axis=1)
        distance = distance[np.isfinite(distance)]
        if len(distance) and np.median(distance) > SHORTEST / 2:
            paths.append(path)
            distances.append(distance)
            plays.append(play)
    if not paths:
        return np.array(paths), np.array([]), np.array([])
    variances = np.array([_variance(distance) for distance in distances])
    noise = float(np.median(variances[np.array(plays) <= min(plays) + STIFF_PLAY]))
    measured, deviation = np.array([_without_noise(d, noise) for d in distances]).T
    spread = np.linalg.norm(
        [np.full(len(plays), DISTANCE_SPREAD), PLAY_SPREAD * np.array(plays), deviation], axis=0
    )
    return np.array(paths), measured, spread


def _variance(distance: np.ndarray) -> float:
    """Variance [m2] of distances (T,), whatever the outliers."""
    return float(1.4826 * np.median(np.abs(distance - np.median(distance)))) ** 2


def _without_noise(distance: np.ndarray, variance: float) -> tuple[float, float]:
    """Length [m] that noise made these distances (T,) of, and the standard deviation of its logarithm.

    Noise of this variance [m2] along the line makes the distance vary, and the same across it makes it
    longer: d^2 = L^2 + 2 v (Rice distribution). Half of this correction counts as uncertain.
    """
    middle = float(np.median(distance))
    length = np.sqrt(max(middle**2 - 2 * variance, (middle / 4) ** 2))
    sampling = 1.25 * np.sqrt(variance / len(distance)) / length
    return float(length), float(np.hypot(sampling, variance / length**2 / 2))


def _route(anatomy: Anatomy, keypoint: int, place: dict[tuple[str, bool], int]) -> np.ndarray:
    """1 for every segment between the root and a keypoint."""
    route = np.zeros(len(place))
    own = place.get((anatomy.measured[keypoint], False))
    if own is not None:
        route[own] = 1
    for joint in anatomy.chain.ancestors(anatomy.site[keypoint]):
        segment = place.get((anatomy.chain.joint_names[joint], True))
        if segment is not None:
            route[segment] = 1
    return route


def _play(anatomy: Anatomy, a: int, b: int) -> float:
    """Angle [rad] by which the joints between two keypoints can change their distance."""
    above = [anatomy.chain.ancestors(anatomy.site[k]) for k in (a, b)]
    shared = set(above[0]) & set(above[1])
    play = 0.0
    for path in above:
        for joint in (joint for joint in path if joint not in shared):
            # turning about one of the two points keeps their distance
            if min(anatomy.lever(joint, a), anatomy.lever(joint, b)) > NEAR_AXIS:
                play += sum(min(dof.upper - dof.lower, TURN) / 2 for dof in anatomy.rotational(joint))
            if any(dof.translates for dof in anatomy.free[joint]):
                return np.inf
    return play


def _groups(chain: Chain, segments: list[_Segment]) -> np.ndarray:
    """Group index of every segment: one for a keypoint's and a joint's offset to the same place.

    With mirror images across the plane of symmetry.
    """
    left = chain.frame["left"]
    flip = np.ones(3)
    flip["xyz".index(left[-1])] = -1
    groups = np.arange(len(segments))
    for i, first in enumerate(segments):
        for j, second in enumerate(segments[:i]):
            if first.is_joint == second.is_joint and groups[j] == j:
                apart = np.linalg.norm(first.end * flip - second.end) + np.linalg.norm(
                    first.rest * flip - second.rest
                )
                lengths = np.linalg.norm([first.rest, second.rest], axis=1)
                if apart < MIRROR and lengths.max() < UNEVEN * lengths.min():
                    groups[i] = j
                    break
    return _joined(groups, segments)


def _joined(groups: np.ndarray, segments: list[_Segment]) -> np.ndarray:
    """Groups in which offsets from and to the same place, of a joint and of a keypoint, are one."""
    groups = groups.copy()
    for i, first in enumerate(segments):
        for j, second in enumerate(segments[:i]):
            apart = np.abs(first.end - second.end).max() + np.abs(first.rest - second.rest).max()
            if apart < SAME_PLACE:
                groups[groups == groups[i]] = groups[j]
    return groups


def _fit(
    rest: np.ndarray, paths: np.ndarray, measured: np.ndarray, spread: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Scale of every segment [1] that explains the measured distances best: the body's, and its own."""
    unique, index = np.unique(groups, return_inverse=True)
    at_rest = np.linalg.norm(paths @ rest, axis=1)
    body = float(np.median(np.log(measured / at_rest)))

    def residual(own: np.ndarray) -> np.ndarray:
        scale = np.exp(body + own[index])
        model = np.linalg.norm(paths @ (rest * scale[:, None]), axis=1)
        error = np.log(np.maximum(model, 1e-9) / measured) / spread
        robust = error * np.sqrt(2 / (1 + np.sqrt(1 + error**2)))  # linear beyond one
        return np.concatenate([robust, own / SPREAD])

    return np.exp(body + least_squares(residual, np.zeros(len(unique))).x[index])
