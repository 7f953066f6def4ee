"""Bony landmarks and joint centres found on the meshes by geometry: extremes, sphere fits, endplates.

World: metres, x forward, y left, z up. All of the limbs is written for the right side, where lateral is -y.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

FORWARD, LEFT, UP = np.eye(3)
LATERAL = -LEFT  # on the right side
Points = dict[str, np.ndarray]


def tip(vertices: np.ndarray, direction: np.ndarray, depth: float = 0.002) -> np.ndarray:
    """Mean of the vertices within ``depth`` [m] of the farthest one in a direction."""
    along = vertices @ direction
    return vertices[along > along.max() - depth].mean(0)


def slab(vertices: np.ndarray, direction: np.ndarray, depth: float) -> np.ndarray:
    """Vertices within ``depth`` [m] of the farthest one in a direction."""
    along = vertices @ direction
    return vertices[along > along.max() - depth]


def fitted_sphere(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares sphere: |v|^2 = 2 c.v + (r^2 - c.c) is linear in the centre c. Centre [m], radius [m]."""
    solved = np.linalg.lstsq(np.c_[2 * vertices, np.ones(len(vertices))], (vertices**2).sum(1), rcond=None)[0]
    return solved[:3], float(np.sqrt(solved[3] + solved[:3] @ solved[:3]))


def fitted_head(
    vertices: np.ndarray, outward: np.ndarray, radius: float, cap: float = -0.2, tolerance: float = 0.0025
) -> tuple[np.ndarray, float, float, int]:
    """Sphere of a joint head: fitted to the vertices near the last one on its outward side, until it stays.

    ``outward`` points from the neck to the head's pole; the first guess is a sphere of ``radius`` [m] under
    the farthest point. Vertices count above ``cap`` radii along it and within ``tolerance`` [m] of it.
    Returns centre, radius, root mean square distance [m] and the number of vertices.
    """
    outward = outward / np.linalg.norm(outward)
    centre = tip(vertices, outward, 0.001) - radius * outward
    near = np.ones(len(vertices), bool)
    for _ in range(60):
        offset = vertices - centre
        distance = np.linalg.norm(offset, axis=1)
        found = (np.abs(distance - radius) < tolerance) & (offset @ outward > cap * radius)
        if np.array_equal(found, near):
            break
        near = found
        centre, radius = fitted_sphere(vertices[near])
    misfit = np.linalg.norm(vertices[near] - centre, axis=1) - radius
    return centre, radius, float(np.sqrt((misfit**2).mean())), int(near.sum())


def epicondyles(vertices: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Lateral and medial epicondyle of a right long bone: farthest points of its lower end along their line.

    ``share`` of the bone's length counts as the lower end; the line is followed in the transverse plane only.
    """
    low = slab(vertices, -UP, share * np.ptp(vertices[:, 2]))
    axis = LATERAL
    for _ in range(8):
        lateral, medial = tip(low, axis, 0.003), tip(low, -axis, 0.003)
        axis = (lateral - medial) * [1, 1, 0]
        axis /= np.linalg.norm(axis)
    return lateral, medial


def endplate(vertices: np.ndarray, faces: np.ndarray, up: float, depth: float = 0.032) -> np.ndarray:
    """Centre of an endplate of a vertebra, the upper one (``up`` = 1) or the lower one (-1).

    Mean, by area, of the faces of the vertebral body (the front ``depth`` [m]) that look up or down.
    """
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    centre = corners.mean(1)
    body = centre[:, 0] > vertices[:, 0].max() - depth
    middle = np.abs(centre[:, 1]) < 0.03
    flat = body & middle & (up * normal[:, 2] > 0.75 * area)
    return np.average(centre[flat], axis=0, weights=area[flat])


def between(first: np.ndarray, second: np.ndarray, reach: float = 0.004) -> np.ndarray:
    """Middle of the gap between two bones: mean of the pairs within ``reach`` [m] of the closest one."""
    far, nearest = cKDTree(second).query(first)
    close = far < far.min() + reach
    return ((first[close] + second[nearest[close]]) / 2).mean(0)


# ---- landmarks of the parts ------------------------------------------------------------------------
def pelvis_landmarks(hip_bone: np.ndarray, sacrum: np.ndarray) -> Points:
    """Of the right hip bone and the sacrum."""
    high = hip_bone[hip_bone[:, 2] > hip_bone[:, 2].mean()]
    front = hip_bone[hip_bone[:, 2] < hip_bone[:, 2].mean()]
    return {
        "asis": tip(high, FORWARD + 0.3 * LATERAL),
        "psis": tip(high, -FORWARD),
        "iliac_crest": tip(hip_bone, UP),
        "pubic_symphysis": tip(front, FORWARD - 0.5 * LATERAL),
        "ischial_tuberosity": tip(hip_bone, -UP),
        "sacral_promontory": tip(sacrum, UP + FORWARD),
    }


def leg_landmarks(bones: Points) -> Points:
    """Of the right leg, by name with the part in front: femur/..., tibia/..., foot/..., toes/..."""
    femur, tibia, fibula, foot, toes = (
        bones[f"{name}_right"] for name in ("femur", "tibia", "fibula", "foot_bones", "toe_bones")
    )
    lateral, medial = epicondyles(femur, 0.09)
    upper = slab(tibia, UP, 0.08)
    low = slab(tibia, -UP, 0.03)
    return {
        "femur/epicondyle_lateral": lateral,
        "femur/epicondyle_medial": medial,
        "femur/greater_trochanter": tip(slab(femur, UP, 0.1), LATERAL),
        "tibia/tibial_tuberosity": tip(slab(upper, -UP, 0.045), FORWARD),
        "tibia/plateau_lateral": tip(slab(tibia, UP, 0.03), LATERAL),
        "tibia/plateau_medial": tip(slab(tibia, UP, 0.03), -LATERAL),
        "tibia/fibula_head": tip(fibula, UP),
        "tibia/malleolus_medial": tip(low, -LATERAL - UP),
        "tibia/malleolus_lateral": tip(slab(fibula, -UP, 0.03), LATERAL - UP),
        "foot/talus_dome": tip(bones["talus_right"], UP, 0.004),
        "foot/heel": tip(foot, -FORWARD),
        "foot/metatarsal_1": between(bones["metatarsal_1"], toes),
        "foot/metatarsal_5": between(bones["metatarsal_5"], toes),
        "toes/tip": tip(toes, FORWARD),
    }


def arm_landmarks(bones: Points) -> Points:
    """Of the right arm and shoulder girdle."""
    clavicle, scapula, humerus, ulna, radius = (
        bones[f"{name}_right"] for name in ("clavicle", "scapula", "humerus", "ulna", "radius")
    )
    lateral, medial = epicondyles(humerus, 0.12)
    acromion = slab(scapula, UP, 0.025)
    return {
        "clavicle/medial_end": tip(clavicle, -LATERAL, 0.008),
        "clavicle/lateral_end": tip(clavicle, LATERAL, 0.008),
        "scapula/acromion_angle": tip(acromion, LATERAL - FORWARD),
        "scapula/acromion_tip": tip(acromion, LATERAL + FORWARD),
        "scapula/inferior_angle": tip(scapula, -UP),
        "scapula/coracoid": tip(scapula, FORWARD),
        "scapula/spine_root": tip(slab(slab(scapula, UP, 0.055), -UP, 0.025), -LATERAL),
        "humerus/epicondyle_lateral": lateral,
        "humerus/epicondyle_medial": medial,
        "humerus/greater_tubercle": tip(slab(humerus, UP, 0.06), LATERAL),
        "forearm/olecranon": tip(slab(ulna, UP, 0.03), -FORWARD),
        "forearm/ulnar_styloid": tip(ulna, -UP),
        "forearm/radial_styloid": tip(radius, -UP),
        "forearm/radial_head": tip(radius, UP, 0.004),
        "hand/metacarpal_2": tip(bones["2mc_right"], -UP),
        "hand/metacarpal_3": tip(bones["3mc_right"], -UP),
        "hand/metacarpal_5": tip(bones["5mc_right"], -UP),
        "hand/dactylion": tip(bones["3distph_right"], -UP),
        "hand/thumb_tip": tip(bones["thumbdist_right"], -UP),
    }


def trunk_landmarks(bones: Points, sternum: np.ndarray, vertebrae: list[np.ndarray]) -> Points:
    """Of thorax, neck and head; ``vertebrae`` are those of the neck from the lowest to the highest."""
    skull = bones["skull"]
    return {
        "thorax/suprasternale": tip(sternum[np.abs(sternum[:, 1]) < 0.012], UP),
        "thorax/xiphoid": tip(sternum[np.abs(sternum[:, 1]) < 0.012], -UP),
        "thorax/t8": tip(bones["thoracic8"], -FORWARD),
        "lumbar/l3": tip(bones["lumbar3"], -FORWARD),
        "cspine/c7": tip(vertebrae[0], -FORWARD),
        "skull/vertex": tip(skull, UP),
        "skull/occiput": tip(skull, -FORWARD),
        "skull/glabella": tip(slab(skull, UP, 0.085), FORWARD),
        "skull/chin": tip(slab(bones["jaw"], -UP, 0.02), FORWARD),
    }
