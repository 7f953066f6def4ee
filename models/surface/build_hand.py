"""Fingers of the open bones as those of the open body: spread and bent alike, so that one hand fits both.

The bones of a hand are one rigid part. In the source its fingers are closer together than the body's and the
index is bent; scaled to the body's fingertip, such a hand has two fifths of its points outside the skin.
World: metres, x forward, y left, z up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bone_landmarks import Points, between
from build_body import PHENOTYPES, Source
from build_bones import SourceBone
from scipy.spatial.transform import Rotation

CARPALS = {2: "trapezoid", 3: "capitate", 4: "hamate", 5: "hamate"}
FINGERS = {n: (held, f"{n}mc", f"{n}proxph", f"{n}midph", f"{n}distph") for n, held in CARPALS.items()}
THUMB = ("trapezium", "1mc", "thumbprox", "thumbdist")
ROUNDS = 6  # the line from wrist to fingertip, along which hands are aligned, turns with the finger
Hand = dict[int, np.ndarray]  # joints and tip (4, 3) [m] of every finger; 0: the wrist (3,)


def skin_hand(source: Source) -> Hand:
    """Joints of the right hand of a middling body, and the tips of its fingers."""
    middling = {name: sum(bounds) / 2 for name, bounds in PHENOTYPES.items()}
    vertices, centres = source.posed(middling)
    at = dict(zip(source.joints, centres, strict=True))
    followed = np.asarray(source.model.skin_weights).argmax(1)
    found = {0: at["wrist.R"]}
    for number in (1, *FINGERS):
        joints = [at[f"finger{number}-{joint}.R"] for joint in (1, 2, 3)]
        last = vertices[followed == source.joints.index(f"finger{number}-3.R")]
        found[number] = np.array([*joints, farthest(last, joints[-1])])
    return found


def with_fingers_of(skin: Hand, bones: list[SourceBone], wrist: np.ndarray) -> list[SourceBone]:
    """Bones of the right hand: each of a finger along that of the skin, the thumb as a whole to its tip.

    Hands are aligned by the line from the wrist (3,) [m] to the third fingertip, and by the row of knuckles.
    """
    hand = {bone.name.removesuffix("_right"): bone for bone in bones if bone.part == "hand_right"}
    v = {name: bone.vertices for name, bone in hand.items()}
    for _ in range(ROUNDS):
        knuckles = {n: between(v[names[1]], v[names[2]]) for n, names in FINGERS.items()}
        tip = farthest(v["3distph"], knuckles[3])
        frame, other = (
            aligned(tip - wrist, knuckles[2] - knuckles[5]),
            aligned(skin[3][3] - skin[0], skin[2][0] - skin[5][0]),
        )
        turn = frame.T @ other
        size = np.linalg.norm(tip - wrist) / np.linalg.norm(skin[3][3] - skin[0])
        for number, names in FINGERS.items():
            aim = wrist + size * turn @ (skin[number][0] - skin[0]) - between(v[names[0]], v[names[1]])
            for bone, direction in enumerate([aim, *np.diff(skin[number], axis=0) @ turn.T]):
                point(v, names[bone], names[bone + 1 :], names[bone + 2 : bone + 3], direction)
    start = between(v[THUMB[0]], v[THUMB[1]])
    point(v, THUMB[0], THUMB[1:], (), wrist + size * turn @ (skin[1][3] - skin[0]) - start)
    turned = {bone.name: replace(bone, vertices=v[name]) for name, bone in hand.items()}
    return [turned.get(bone.name, bone) for bone in bones]


def aligned(along: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Orthonormal rows: along a vector, across it in the plane of both, normal to both."""
    normal = np.cross(along, aside)
    rows = np.array([along, np.cross(normal, along), normal])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def point(
    v: Points, held: str, moved: tuple[str, ...], after: tuple[str, ...], direction: np.ndarray
) -> None:
    """Turn bones, in place, about the joint with the one that is held, their end then in a direction.

    The end is the joint with the bone ``after`` or, without one, the farthest point of the last.
    """
    start = between(v[held], v[moved[0]])
    end = between(v[moved[0]], v[after[0]]) if after else farthest(v[moved[-1]], start)
    turn, _ = Rotation.align_vectors(direction[None], (end - start)[None])
    for name in moved:
        v[name] = turn.apply(v[name] - start) + start


def farthest(points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the point (3,) that is farthest from another."""
    return points[np.linalg.norm(points - start, axis=1).argmax()]
