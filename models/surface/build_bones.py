"""The open bones: meshes of ``musclemimic-models`` in one common pose, cleaned, thinned and made symmetric.

World of the result: metres, x forward, y left, z up; the middle plane is y = 0, the soles are near z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import mujoco
import musclemimic_models
import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

PART_OF_BODY = {
    "sacrum": "pelvis",
    "pelvis": "pelvis",
    **{f"lumbar{number}": "lumbar" for number in range(1, 6)},
    "torso": "thorax",
    "neck": "cspine",
    "head": "skull",
}
PART_OF_LIMB = {
    "clavicle": "clavicle",
    "scapula": "scapula",
    "humerus": "humerus",
    "ulna": "forearm",
    "radius": "forearm",
    "femur": "femur",
    "tibia": "tibia",
    "patella": "tibia",
    "talus": "foot",
    "calcn": "foot",
    "toes": "toes",
}
NAMES = {  # where the name of a mesh says less than it could
    "hat_cervical": "cervical",
    "hat_jaw": "jaw",
    "hat_skull": "skull",
    "foot": "foot_bones",
    "bofoot": "toe_bones",
}
FACES = {"skull": 4000, "ribcage": 4000, "cervical": 2400}
FACES_OF_OTHERS = 650
PLATE_VERTICES = 7000  # the plate with a logo before the sternum is the one piece of all bones with more
CRUMB_VERTICES = 10  # smaller pieces are stray triangles
COUPLED = 1e-6  # m or rad: couplings of joints that are open by less are closed
LETTER_VERTICES = 45  # smaller pieces of the rib cage are letters of the logo; its smallest rib has 50


@dataclass(frozen=True)
class SourceBone:
    """A bone as the package has it, in our world."""

    name: str
    part: str
    vertices: np.ndarray
    faces: np.ndarray


def side_of(text: str) -> str:
    """'_left', '_right' or '' of a name with _l / _r at its end or l_ / r_ at its beginning."""
    first, last = text.partition("_")[0], text.rpartition("_")[2]
    letter = last if last in ("l", "r") else first
    return {"l": "_left", "r": "_right"}.get(letter, "")


def bone_name(mesh: str) -> str:
    """2proxph_l -> 2proxph_left, r_femur -> femur_right, thoracic12_s -> thoracic12."""
    core = mesh.split("_geom_")[-1].split("_", 1)[-1] if "_geom_" in mesh else mesh
    plain = (
        core.removesuffix("_s").removesuffix("_l").removesuffix("_r").removeprefix("l_").removeprefix("r_")
    )
    return NAMES.get(plain, plain) + side_of(core)


def part_name(body: str, mesh: str) -> str:
    """Name of the rigid part that a bone belongs to."""
    if body in PART_OF_BODY:
        return PART_OF_BODY[body]
    return PART_OF_LIMB.get(body[:-2], "hand") + side_of(mesh)


def set_neutral(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Put the model into its neutral pose with the couplings between its joints obeyed.

    The neutral coordinates of the model alone leave the patellae within the femora. A coupling is
    ``y - y0 = c0 + c1 (x - x0) + ... + c4 (x - x0)^4`` of the joint y that follows and the joint x that leads
    or none; leading joints are neutral here, x = x0. Constants c0 below :data:`COUPLED` are noise of a fit.

    Raises
    ------
    ValueError
        Where the model itself still finds a coupling open: a joint that leads would follow another one.
    """
    couplings = np.flatnonzero((model.eq_type == mujoco.mjtEq.mjEQ_JOINT) & model.eq_active0.astype(bool))
    couplings = couplings[np.abs(model.eq_data[couplings, 0]) > COUPLED]
    data.qpos[:] = model.qpos0
    data.qpos[model.jnt_qposadr[model.eq_obj1id[couplings]]] += model.eq_data[couplings, 0]
    mujoco.mj_forward(model, data)
    residuals = np.abs(data.efc_pos[data.efc_type == mujoco.mjtConstraint.mjCNSTR_EQUALITY])
    if residuals.max() > COUPLED:
        raise ValueError(f"{(residuals > COUPLED).sum()} couplings between joints of the model are open")


def source_bones() -> list[SourceBone]:
    """All bones in the model's neutral pose, x forward, y left, z up."""
    model, data = musclemimic_models.load("myofullbody")
    set_neutral(model, data)
    bones = []
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_MESH):
        mesh = model.geom_dataid[geom]
        name, body = model.mesh(mesh).name, model.body(model.geom_bodyid[geom]).name
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        local = model.mesh_vert[first : first + count].astype(float)
        placed = local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        start, number = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        world = np.stack([-placed[:, 1], placed[:, 0], placed[:, 2]], axis=1)
        faces = model.mesh_face[start : start + number]
        label = bone_name(name)
        crumbs = LETTER_VERTICES if label == "ribcage" else CRUMB_VERTICES
        bones.append(SourceBone(label, part_name(body, name), *cleaned(world, faces, crumbs)))
    return centred(bones)


def cleaned(vertices: np.ndarray, faces: np.ndarray, crumbs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Equal vertices merged; empty faces, the logo plate and pieces below ``crumbs`` vertices dropped."""
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    mesh.update_faces(mesh.nondegenerate_faces())
    mesh.update_faces(mesh.unique_faces())
    kept = pieces(mesh.faces, len(mesh.vertices))
    sizes = np.bincount(kept)
    size = sizes[kept[mesh.faces[:, 0]]]
    mesh.update_faces((size < PLATE_VERTICES) & (size >= crumbs))
    mesh.remove_unreferenced_vertices()
    if mesh.volume < 0:
        mesh.invert()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def pieces(faces: np.ndarray, count: int) -> np.ndarray:
    """Number of the connected piece of every vertex (V,)."""
    edges = coo_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, -1, 1).ravel())), (count, count))
    return connected_components(edges, directed=False)[1]


def centred(bones: list[SourceBone]) -> list[SourceBone]:
    """Move the plane between left and right hip bone to y = 0 and the lowest point to z = 0."""
    by_name = {bone.name: bone.vertices for bone in bones}
    hips = np.vstack([by_name["pelvis_left"], by_name["pelvis_right"]])
    middle = (hips.max(0) + hips.min(0)) / 2
    origin = np.array([middle[0], middle[1], min(vertices[:, 2].min() for vertices in by_name.values())])
    return [SourceBone(each.name, each.part, each.vertices - origin, each.faces) for each in bones]


def mirrored(bone: SourceBone) -> SourceBone:
    """The left bone that mirrors a right one."""
    name, part = (text.replace("_right", "_left") for text in (bone.name, bone.part))
    return SourceBone(name, part, bone.vertices * [1, -1, 1], bone.faces[:, ::-1])


def mirror_errors(bones: list[SourceBone]) -> dict[str, float]:
    """Distance [mm] of every source left bone from the mirrored right one, largest over its vertices."""
    by_name = {bone.name: bone for bone in bones}
    errors = {}
    for name, bone in by_name.items():
        if name.endswith("_right"):
            twin = mirrored(bone)
            far, _ = cKDTree(twin.vertices).query(by_name[twin.name].vertices)
            errors[twin.name] = float(far.max() * 1e3)
    return errors


def symmetric(bones: list[SourceBone]) -> list[SourceBone]:
    """Right bones and their mirror images in place of the left ones; bones of the middle as they are."""
    twins = {mirrored(bone).name: mirrored(bone) for bone in bones if bone.name.endswith("_right")}
    return [twins.get(bone.name, bone) for bone in bones]


def thinned(bone: SourceBone) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a bone with no more faces than are shown (quadric edge collapse)."""
    wanted = FACES.get(bone.name, FACES_OF_OTHERS)
    if len(bone.faces) <= wanted:
        return bone.vertices, bone.faces
    vertices, faces = fast_simplification.simplify(
        bone.vertices.astype("f4"), bone.faces.astype("i4"), target_count=wanted, agg=3
    )
    return cleaned(vertices, faces)


def bone_arrays(bones: list[SourceBone]) -> dict[str, np.ndarray]:
    """Arrays of ``bones.npz``; left meshes are exact mirror images of the right ones."""
    meshes = {bone.name: thinned(bone) for bone in bones if not bone.name.endswith("_left")}
    arrays = {
        "names": np.array([bone.name for bone in bones]),
        "part": np.array([bone.part for bone in bones]),
    }
    for number, bone in enumerate(bones):
        vertices, faces = meshes[bone.name.replace("_left", "_right")]
        if bone.name.endswith("_left"):
            vertices, faces = vertices * [1, -1, 1], faces[:, ::-1]
        arrays[f"v_{number}"] = vertices.astype("f4")
        arrays[f"f_{number}"] = faces.astype("u2")
    return arrays
