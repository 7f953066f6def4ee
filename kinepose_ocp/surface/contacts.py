"""Where bones lie just under the skin, and which landmarks of skin and bone belong together.

Depths are of the soft tissue over the bony point in an adult of normal weight: rounded estimates of the
project, no measurements of a person. The standard deviations say how far a person may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.sides import FLIP, twin
from kinepose_ocp.surface.skeleton import Skeleton

MIDDLE = 0.001  # m: landmarks this near the mid plane are in it
BOTH = ("_right", "_left")


@dataclass(frozen=True)
class Contact:
    """A bony landmark under the skin: part, name, depth and its standard deviation [m]."""

    part: str
    landmark: str
    depth: float
    std: float


@dataclass(frozen=True)
class Ridge:
    """An edge of a bone under the skin: its points at fractions of its extent along an axis, farthest out.

    along: axis (x, y, z) = 0, 1, 2; outward: direction of the edge on the right side; fractions from below.
    """

    bone: str
    along: int
    outward: tuple[float, float, float]
    fractions: tuple[float, ...]
    depth: float
    std: float


CONTACTS = (
    Contact("skull", "vertex", 0.007, 0.002),
    Contact("skull", "occiput", 0.008, 0.003),
    Contact("skull", "glabella", 0.006, 0.003),
    Contact("skull", "chin", 0.010, 0.004),
    Contact("cspine", "c7", 0.012, 0.006),
    Contact("thorax", "t8", 0.012, 0.006),
    Contact("thorax", "suprasternale", 0.009, 0.005),
    Contact("thorax", "xiphoid", 0.016, 0.010),
    Contact("lumbar", "l3", 0.016, 0.010),
    Contact("pelvis", "asis_right", 0.016, 0.010),
    Contact("pelvis", "asis_left", 0.016, 0.010),
    Contact("femur", "epicondyle_lateral", 0.012, 0.005),
    Contact("femur", "epicondyle_medial", 0.014, 0.005),
    Contact("femur", "greater_trochanter", 0.030, 0.015),
    Contact("tibia", "tibial_tuberosity", 0.007, 0.003),
    Contact("tibia", "fibula_head", 0.010, 0.005),
    Contact("tibia", "malleolus_medial", 0.006, 0.002),
    Contact("tibia", "malleolus_lateral", 0.006, 0.002),
    Contact("foot", "heel", 0.008, 0.003),
    Contact("clavicle", "lateral_end", 0.009, 0.004),
    Contact("scapula", "acromion_angle", 0.010, 0.004),
    Contact("scapula", "acromion_tip", 0.010, 0.004),
    Contact("humerus", "epicondyle_lateral", 0.007, 0.003),
    Contact("humerus", "epicondyle_medial", 0.007, 0.003),
    Contact("forearm", "olecranon", 0.006, 0.002),
    Contact("forearm", "ulnar_styloid", 0.005, 0.002),
    Contact("forearm", "radial_styloid", 0.006, 0.002),
    Contact("toes", "tip", 0.006, 0.003),
)
RIDGES = (
    Ridge("tibia", 2, (1.0, 0.5, 0.0), (0.3, 0.5, 0.7), 0.006, 0.003),  # shin
    Ridge("ulna", 2, (-1.0, 0.0, 0.0), (0.3, 0.5, 0.7), 0.008, 0.004),
    Ridge("clavicle", 1, (0.3, 0.0, 1.0), (0.3, 0.5, 0.7), 0.009, 0.004),
    Ridge("foot_bones", 0, (0.0, 0.0, -1.0), (0.12,), 0.016, 0.005),  # calcaneus over the heel pad
    Ridge("skull", 0, (0.0, 0.0, 1.0), (0.3, 0.45, 0.6, 0.7), 0.007, 0.002),  # scalp
    Ridge("skull", 2, (0.0, -1.0, 0.0), (0.75, 0.85), 0.009, 0.003),
)
LANDMARKS = {  # of the skin: bony landmark below it and its depth [m]
    "head_top": ("skull", "vertex", 0.007),
    "chin": ("skull", "chin", 0.010),
    "c7": ("cspine", "c7", 0.012),
    "suprasternale": ("thorax", "suprasternale", 0.009),
    "acromion": ("scapula", "acromion_tip", 0.010),
    "elbow_lateral": ("humerus", "epicondyle_lateral", 0.007),
    "elbow_medial": ("humerus", "epicondyle_medial", 0.007),
    "wrist_radial": ("forearm", "radial_styloid", 0.006),
    "wrist_ulnar": ("forearm", "ulnar_styloid", 0.005),
    "dactylion": ("hand", "dactylion", 0.005),
    "thumb_tip": ("hand", "thumb_tip", 0.005),
    "asis": ("pelvis", "asis", 0.016),
    "knee_lateral": ("femur", "epicondyle_lateral", 0.012),
    "knee_medial": ("femur", "epicondyle_medial", 0.014),
    "malleolus_lateral": ("tibia", "malleolus_lateral", 0.006),
    "malleolus_medial": ("tibia", "malleolus_medial", 0.006),
    "heel": ("foot", "heel", 0.008),
    "toe_tip": ("toes", "tip", 0.006),
}


@dataclass(frozen=True, eq=False)
class BonyPoints:
    """Points of the template under the skin: parts (N,) numbers, positions (N, 3), depths, stds (N,) [m]."""

    parts: np.ndarray
    positions: np.ndarray
    depths: np.ndarray
    stds: np.ndarray


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Landmarks of the skin, their bony points (N, 3), the points' parts (N,), and depths (N,) [m]."""

    names: tuple[str, ...]
    parts: np.ndarray
    positions: np.ndarray
    depths: np.ndarray


def bony_points(skeleton: Skeleton) -> BonyPoints:
    """Contacts of a skeleton: landmarks and points of ridges, on both sides; those it lacks are left out."""
    marks = marks_of(skeleton)
    rows = [
        (part, marks[part, contact.landmark], contact.depth, contact.std)
        for contact in CONTACTS
        for part in sided(contact.part, skeleton)
        if (part, contact.landmark) in marks
    ]
    for ridge in RIDGES:
        rows += ridge_points(skeleton, ridge)
    numbers = [skeleton.parts.index(row[0]) for row in rows]
    positions = np.array([row[1] for row in rows]).reshape(-1, 3)
    return BonyPoints(np.array(numbers), positions, *np.array([row[2:] for row in rows]).reshape(-1, 2).T)


def ridge_points(skeleton: Skeleton, ridge: Ridge) -> list[tuple[str, np.ndarray, float, float]]:
    """Part, position, depth and standard deviation of the points of a ridge; left ones are mirror images."""
    bones = {bone.name: bone for bone in skeleton.bones}
    own = bones.get(ridge.bone) or bones.get(f"{ridge.bone}_right")
    if own is None:
        return []
    v, outward = own.mesh.vertices, np.array(ridge.outward)
    along = (v[:, ridge.along] - v[:, ridge.along].min()) / np.ptp(v[:, ridge.along])
    rows = []
    for fraction in ridge.fractions:
        near = np.flatnonzero(np.abs(along - fraction) < 0.05)
        point = v[near[np.argmax(v[near] @ outward)]]
        if twin(own.part) == own.part and not ridge.outward[1]:
            point = point * [1, 0, 1]
        rows.append((own.part, point, ridge.depth, ridge.std))
        if ridge.outward[1] or twin(own.part) != own.part:
            rows.append((twin(own.part), FLIP @ point, ridge.depth, ridge.std))
    return rows


def landmark_pairs(skeleton: Skeleton) -> LandmarkPairs:
    """Pairs of landmarks of skin and bone on both sides."""
    marks = marks_of(skeleton)
    rows = []
    for skin, (part, bony, depth) in LANDMARKS.items():
        for side in ("", *BOTH):
            ends = {(part + side, bony), (part, bony + side)}  # the side is in the name of one of the two
            rows += [(skin + side, end[0], marks[end], depth) for end in ends if end in marks]
    return LandmarkPairs(
        tuple(row[0] for row in rows),
        np.array([skeleton.parts.index(row[1]) for row in rows]),
        np.array([row[2] for row in rows]).reshape(-1, 3),
        np.array([row[3] for row in rows]),
    )


def marks_of(skeleton: Skeleton) -> dict[tuple[str, str], np.ndarray]:
    """Positions (3,) [m] of the bony landmarks by part and name; those near the mid plane in it."""
    return {
        (mark.part, mark.name): mark.position * [1, abs(mark.position[1]) > MIDDLE, 1]
        for mark in skeleton.landmarks
    }


def sided(part: str, skeleton: Skeleton) -> list[str]:
    """Names of a part on both sides, or its own if it lies in the middle."""
    return [name for name in (part, *(part + side for side in BOTH)) if name in skeleton.parts]


def missing_landmarks(body: LinearBody, pairs: LandmarkPairs) -> np.ndarray:
    """Which pairs (N,) the skin has no landmark for."""
    return np.array([name not in body.landmarks for name in pairs.names], dtype=bool)
