"""Named landmarks of the open body's skin: one vertex each, found on the mean body by geometry.

World: metres, x forward, y left, z up. Rules are written for the left side; the right one mirrors it.
"""

from __future__ import annotations

import numpy as np


def towards(start: np.ndarray, direction: np.ndarray, points: np.ndarray, among: np.ndarray) -> int:
    """Return the vertex nearest to the ray from ``start`` along ``direction``: where it leaves the skin."""
    direction = direction / np.linalg.norm(direction)
    along = (points - start) @ direction
    aside = np.linalg.norm(points - start - along[:, None] * direction, axis=1)
    return int(np.argmin(np.where(among & (along > 0), aside, np.inf)))


def highest(values: np.ndarray, among: np.ndarray) -> int:
    """Return the vertex of the largest value among some."""
    return int(np.argmax(np.where(among, values, -np.inf)))


def midline_landmarks(v: np.ndarray, centres: dict[str, np.ndarray], part: np.ndarray) -> dict[str, int]:
    """Landmarks on the middle line of head and trunk."""
    middle = np.abs(v[:, 1]) < 0.001
    head, front = part == "skull", v[:, 0] > centres["head"][0]
    nose = highest(v[:, 0], middle & head & (np.abs(v[:, 2] - centres["oris04.L"][2]) < 0.03))
    eyes = centres["eye.L"][2]
    mouth = centres["oris01"][2]
    back = v[:, 0] < centres["neck01"][0]
    return {
        "head_top": highest(v[:, 2], middle & head),
        "nose_tip": nose,
        "sellion": highest(-v[:, 0], middle & head & front & (np.abs(v[:, 2] - eyes) < 0.02)),
        "chin": highest(v[:, 0], middle & front & (v[:, 2] < mouth - 0.02) & (v[:, 2] > mouth - 0.06)),
        "occiput": highest(-v[:, 0], middle & head & (np.abs(v[:, 2] - eyes) < 0.04)),
        "c7": highest(-np.abs(v[:, 2] - centres["neck01"][2]), middle & back),
        "suprasternale": highest(
            -np.abs(v[:, 2] - centres["clavicle.L"][2] - 0.01), middle & (v[:, 0] > centres["clavicle.L"][0])
        ),
    }


def arm_landmarks(v: np.ndarray, centres: dict[str, np.ndarray], part: np.ndarray) -> dict[str, int]:
    """Landmarks of the left arm; the elbow's axis is normal to the plane of the slightly bent arm."""
    shoulder, elbow, wrist = (centres[name] for name in ("upperarm01.L", "lowerarm01.L", "wrist.L"))
    axis = np.cross(elbow - shoulder, wrist - elbow)
    axis *= np.sign(axis[2]) / np.linalg.norm(axis)  # up: lateral, with the thumb in front
    radial = centres["finger2-1.L"] - centres["finger5-1.L"]
    arm = np.isin(part, ["humerus_left", "forearm_left"])
    hand = np.isin(part, ["forearm_left", "hand_left"])
    thumb = centres["finger1-3.L"] - centres["finger1-2.L"]
    near = np.linalg.norm(v - centres["finger1-3.L"], axis=1) < 0.05
    top = np.linalg.norm((v - shoulder)[:, :2], axis=1) < 0.02
    return {
        "acromion": highest(v[:, 2], top),
        "elbow_lateral": towards(elbow, axis, v, arm),
        "elbow_medial": towards(elbow, -axis, v, arm),
        "wrist_radial": towards(wrist, radial, v, hand),
        "wrist_ulnar": towards(wrist, -radial, v, hand),
        "dactylion": highest(np.linalg.norm(v - wrist, axis=1), part == "hand_left"),
        "thumb_tip": highest(v @ thumb, near & (part == "hand_left")),
    }


def leg_landmarks(v: np.ndarray, centres: dict[str, np.ndarray], part: np.ndarray) -> dict[str, int]:
    """Landmarks of the left leg. The iliac spine: where Bell et al. (1990) expect it from the hip centre.

    Their regression puts the hip centre 14 % of the distance between the spines medial of and 30 % below
    them, so the spines are 1 / 0.72 of the hips' spacing apart.
    """
    hip, knee, ankle = (centres[name] for name in ("upperleg01.L", "lowerleg01.L", "foot.L"))
    spacing = 2 * hip[1] / 0.72
    left, forward = np.array([0.0, 1, 0]), np.array([1.0, 0, 0])
    spine = np.array([hip[0], spacing / 2, hip[2] + 0.3 * spacing])
    thigh = np.isin(part, ["femur_left", "tibia_left"])
    shank = np.isin(part, ["tibia_left", "foot_left"])
    return {
        "asis": towards(spine, forward, v, np.isin(part, ["pelvis", "lumbar", "femur_left"])),
        "knee_lateral": towards(knee, left, v, thigh),
        "knee_medial": towards(knee, -left, v, thigh),
        "patella": towards(knee, forward, v, thigh),
        "malleolus_lateral": towards(ankle, left, v, shank),
        "malleolus_medial": towards(ankle, -left, v, shank),
        "heel": highest(-v[:, 0], part == "foot_left"),
        "toe_tip": highest(v[:, 0], part == "toes_left"),
    }


def vertex_landmarks(
    v: np.ndarray, centres: dict[str, np.ndarray], part: np.ndarray, mirrored: np.ndarray
) -> dict[str, int]:
    """Landmarks by name, of vertices (V, 3) [m]; ``part`` and ``mirrored`` are given for every vertex."""
    left = arm_landmarks(v, centres, part) | leg_landmarks(v, centres, part)
    found = midline_landmarks(v, centres, part)
    for name, vertex in left.items():
        found[f"{name}_left"] = vertex
        found[f"{name}_right"] = int(mirrored[vertex])
    return found
