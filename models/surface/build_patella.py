"""How the patellae glide: their motion in the shank as the knee bends, from couplings of the bones' source.

The source moves the patella in its femur by polynomials of the knee's angle (those of Rajagopal et al. 2016).
Here the knee is a hinge about the epicondyles, so that motion is told in the shank of such a knee.
"""

from __future__ import annotations

import mujoco
import musclemimic_models
import numpy as np
from build_bones import WORLD, SourceBone, set_pose
from scipy.spatial.transform import Rotation

ANGLES_DEG = np.arange(-120, 1, 10)  # about the flexion axis, to the right; the source's knee bends to 120
SOURCE = (
    "couplings of patella and knee of musclemimic-models 1.0.6, in the shank of a hinge about the epicondyles"
)


def glides(bones: list[SourceBone], knee: dict) -> list[dict]:
    """Entries ``gliding`` of ``anatomy.yaml``, of both sides, from the entry of the right knee.

    A point X of the patella's template goes to R (X - c) + c + shift in the template of its part, with the
    centre c of the knee and rotation vectors [rad] and shifts [m] by the knee's angle.
    """
    patella = next(bone.vertices for bone in bones if bone.name == "patella_right").mean(0)
    turns, shifts = [], []
    for turn, middle in source_motion(patella):
        bend = Rotation.from_rotvec(np.radians(ANGLES_DEG[len(turns)]) * knee["axes"][0]).inv()
        turns.append((bend * turn).as_rotvec())
        shifts.append(bend.apply(turn.apply(knee["centre"] - patella) + middle - knee["centre"]))
    motion = {"turns": np.array(turns), "shifts": np.array(shifts)}
    mirror = {"turns": motion["turns"] * [-1, 1, -1], "shifts": motion["shifts"] * [1, -1, 1]}
    return [
        {"bone": f"patella_{side}", "joint": f"knee_{side}", "angles_deg": ANGLES_DEG, "source": SOURCE}
        | each
        for side, each in (("right", motion), ("left", mirror))
    ]


def source_motion(middle: np.ndarray) -> list[tuple[Rotation, np.ndarray]]:
    """Rotation of the right patella since the straight knee, and where its middle (3,) [m] is, by angle."""
    model, data = musclemimic_models.load("myofullbody")
    body = data.body("patella_r")
    set_pose(model, data, {})
    origin, frame = body.xpos.copy(), body.xmat.reshape(3, 3).copy()
    # the middle in the frame of the patella: placed in the source as in the template but for a shift
    mesh = next(
        geom
        for geom in np.flatnonzero(model.geom_bodyid == model.body("patella_r").id)
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
    )
    number = model.geom_dataid[mesh]
    first = model.mesh_vertadr[number]
    local = model.mesh_vert[first : first + model.mesh_vertnum[number]].astype(float).mean(0)
    start = data.geom_xmat[mesh].reshape(3, 3) @ local + data.geom_xpos[mesh]
    arm = frame.T @ (start - origin)
    found = []
    for angle in -np.radians(ANGLES_DEG):
        set_pose(model, data, {"knee_angle_r": angle})
        moved = body.xmat.reshape(3, 3)
        turn = Rotation.from_matrix(WORLD @ moved @ frame.T @ WORLD.T)
        found.append((turn, middle + WORLD @ (moved @ arm + body.xpos - start)))
    return found
