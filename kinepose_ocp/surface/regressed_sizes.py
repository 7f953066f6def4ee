"""What a regressor tells of a person's bones: how long they are for the stature."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.osso_files import load_osso_regressor
from kinepose_ocp.surface.regressor import Regressor, load_regressor
from kinepose_ocp.surface.skeleton import Skeleton

MOST = 1.5  # times that a part may be longer or shorter than stature tells


@dataclass(frozen=True)
class RegressedSizes:
    """Length of parts of the skeleton for the stature [1]: 1 as on the body of mean shape; by whom."""

    of_part: Mapping[str, float]
    population: str


def regressor_of(path: str | os.PathLike[str], body: LinearBody) -> Regressor:
    """Load a regressor for the shapes of a body: OSSO's (``.pkl``, of STAR), or a saved one (``.npz``).

    Raises
    ------
    DataError
        For a file that is no regressor, or not one of this body.
    """
    if Path(path).suffix.lower() != ".pkl":
        regressor = load_regressor(path)
    elif body.pose_feature == "quaternion":
        regressor = load_osso_regressor(path)
    else:
        raise DataError(f"{path}: OSSO's regressor is for shapes of STAR; give STAR's file as --body-model")
    inputs = len(regressor.mean_in)
    if inputs != body.shape_count:
        raise DataError(
            f"{path}: a regressor of {inputs} inputs; the body has {body.shape_count} shape components"
        )
    return regressor


def regressed_sizes(
    regressor: Regressor, body: LinearBody, shape: np.ndarray, skeleton: Skeleton
) -> RegressedSizes:
    """Return the sizes of all parts that have two joints or more among the regressor's points.

    A size is the mean distance of these joints, divided by that on the body of mean shape, divided by the
    same ratio of statures: so it does not matter in which pose, or where on the joint, the points are.

    Parameters
    ----------
    shape
        (S,), or fewer numbers.

    Raises
    ------
    DataError
        When no part has two joints, or a size is impossible.
    """
    shapes = np.zeros((2, body.shape_count))  # of the person, and the mean one
    shapes[0, : len(shape)] = shape
    points = regressor.predict(shapes)
    statures = [float(np.ptp(body.posed(each).vertices[:, 2])) for each in shapes]
    found = {}
    for part in skeleton.parts:
        joints = [joint.name for joint in skeleton.joints if part in (joint.parent, joint.child)]
        known = [regressor.names.index(name) for name in joints if name in regressor.names]
        pairs = [points[:, first] - points[:, second] for first, second in combinations(known, 2)]
        if not pairs:
            continue
        length = np.linalg.norm(pairs, axis=2).mean(0)
        found[part] = float(length[0] * statures[1] / max(length[1] * statures[0], 1e-9))
        if not 1 / MOST < found[part] < MOST:
            raise DataError(
                f"the regressor makes the {part} {found[part]:.2f} times as long as stature tells"
            )
    if not found:
        raise DataError(
            "no two points of the regressor have names of joints of one part, as hip_left, knee_left"
        )
    return RegressedSizes(found, regressor.population)
