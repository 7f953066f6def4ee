"""OSSO's official regressor, which users bring: from a shape of STAR to joints of the skeleton.

OSSO (Keller et al., CVPR 2022) is licensed to its users for non-commercial research and not part of this
project. Its data folder, by its installation notes and by what its code reads (github.com/MarilynKeller/OSSO:
installation.md, osso/utils/inference.py, regressors.py, loss.py):

* ``skeleton/betas_regressor_GENDER.pkl``: array (11, C) from ten shape numbers of STAR, and 1, to components;
* ``skeleton/skeleton_pca_GENDER.pkl``: mean ``M`` (N, 3) [m] and components ``B`` (N, 3, C) of its bones;
* ``loss/gloss_ball_joints_ldm.pkl``: ``verts_ids``, the vertices at the joint surfaces called ``names``.

Its other files (landmarks in a lying pose, bone templates, springs and ligaments) are not used: bones are
placed and posed as without them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.chumpy_pickle import read_pickled
from kinepose_ocp.surface.body_files import TURN
from kinepose_ocp.surface.regressor import Regressor

INPUTS = COMPONENTS = 10  # that OSSO uses
ENDS = {"hip": "femur_P", "knee": "femur_D", "gh": "humerus_P", "elbow": "humerus_D"}
SURFACES = {  # joint of the skeleton: joint surface of OSSO, which ends in L or R
    f"{joint}_{side}": end + side[0].upper() for joint, end in ENDS.items() for side in ("left", "right")
}


def load_osso_regressor(path: str | os.PathLike[str]) -> Regressor:
    """Load ``betas_regressor_female.pkl`` or ``betas_regressor_male.pkl``, and what it needs beside it.

    Points are the middles of joint surfaces, by the names of the joints. How many people were measured, and
    the errors, are not in the files: 0 and nan.

    Raises
    ------
    DataError
        For files that are missing, damaged, of other content, or that ask for more than arrays.
    """
    path = Path(path)
    gender = re.fullmatch(r"betas_regressor_(female|male)\.pkl", path.name)
    if gender is None:
        raise DataError(
            f"{path}: not OSSO's regressor; possible: betas_regressor_female.pkl, betas_regressor_male.pkl"
        )
    components = path.with_name(f"skeleton_pca_{gender[1]}.pkl")
    surfaces = path.parent.parent / "loss" / "gloss_ball_joints_ldm.pkl"
    weights = _numbers(read_pickled(path), path, "an array", (INPUTS + 1, None))[:, :COMPONENTS]
    pca = _named(components, ("M", "B"))
    mean = _numbers(pca["M"], components, "M", (None, 3))
    basis = _numbers(pca["B"], components, "B", (*mean.shape, None))[..., : weights.shape[1]]
    if basis.shape[2] != weights.shape[1]:
        raise DataError(f"{components}: B has {basis.shape[2]} components, {path.name} {weights.shape[1]}")
    groups = _joint_surfaces(surfaces, len(mean))
    mean = np.array([mean[group].mean(0) for group in groups])[:, TURN]
    basis = np.array([basis[group].mean(0) for group in groups])[:, TURN].reshape(mean.size, -1)
    return Regressor(
        mean_in=np.zeros(INPUTS),
        basis_in=np.eye(INPUTS),
        spread_in=np.ones(INPUTS),
        mean_out=mean.ravel() + basis @ weights[INPUTS],
        basis_out=basis,
        coefficients=weights[:INPUTS],
        population=f"OSSO (Keller et al. 2022), {gender[1]}",
        count=0,
        weight=0.0,
        error_mm=np.nan,
        error_std_mm=np.nan,
        baseline_mm=np.nan,
        names=tuple(SURFACES),
    )


def _joint_surfaces(path: Path, vertices: int) -> list[np.ndarray]:
    """Vertices of every one of :data:`SURFACES`."""
    content = _named(path, ("names", "verts_ids"))
    names, groups = content["names"], content["verts_ids"]
    if not isinstance(names, list) or len(names) != len(groups):
        raise DataError(f"{path}: names and verts_ids must belong together, one name a group")
    found = []
    for name in SURFACES.values():
        if name not in names:
            raise DataError(f"{path}: no joint surface '{name}'")
        group = _numbers(groups[names.index(name)], path, f"verts_ids of '{name}'", (None,))
        if (group != np.round(group)).any() or group.min() < 0 or group.max() >= vertices:
            raise DataError(f"{path}: verts_ids of '{name}' must be vertices of 0 to {vertices - 1}")
        found.append(group.astype(np.int64))
    return found


def _named(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Content of a pickled dictionary that has lists or arrays of some names."""
    content = read_pickled(path)
    held = content if isinstance(content, dict) else {}
    for name in names:
        if not isinstance(held.get(name), (list, np.ndarray)):
            raise DataError(f"{path}: not of OSSO: needed: a dictionary of {', '.join(names)}")
    return held


def _numbers(values: Any, path: Path, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Finite numbers of a shape in which None is any length but 0."""
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(())
    fits = found.ndim == len(shape) and all(
        n in (want, want or n) for n, want in zip(found.shape, shape, strict=True)
    )
    if not fits or not found.size or not np.isfinite(found).all():
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise DataError(f"{path}: not of OSSO: {name} must be finite numbers of shape ({wanted})")
    return found
