"""Points that stand for the bones of a part: far apart, extremes first, the same on both sides."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from kinepose_ocp.surface.sides import FLIP, stem_of, twin
from kinepose_ocp.surface.skeleton import Skeleton

COUNTS = {"thorax": 72, "skull": 48, "pelvis": 48, "foot": 40, "tibia": 48, "hand": 48, "scapula": 40}
USUAL = 32  # points of any other part
DIGITS = re.compile(r"1mc|thumb(prox|dist)|[2-5](prox|mid|dist)ph")  # names of bones of fingers and thumb
BESIDE = 0.004  # m from the mid plane: nearer points lie in it


@dataclass(frozen=True, eq=False)
class BoneSamples:
    """Points of the template: part numbers (N,), positions (N, 3) [m]."""

    parts: np.ndarray
    positions: np.ndarray

    def of(self, part: int) -> np.ndarray:
        """Numbers of the points of a part."""
        return np.flatnonzero(self.parts == part)

    def beside(self) -> BoneSamples:
        """Points outside the mid plane: none of them is as near to the skin of both sides."""
        kept = np.abs(self.positions[:, 1]) > 0
        return BoneSamples(self.parts[kept], self.positions[kept])


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Numbers of points, each the farthest from those before; the first is the farthest from the mean."""
    chosen = [int(np.linalg.norm(points - points.mean(0), axis=1).argmax())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def bone_samples(skeleton: Skeleton, share: float = 1.0) -> BoneSamples:
    """Points of all parts; ``share`` of :data:`COUNTS`. Left parts and halves mirror the right ones."""
    found: dict[str, np.ndarray] = {}
    for part in skeleton.parts:
        count = max(4, round(share * COUNTS.get(stem_of(part), USUAL)))
        vertices = skeleton.part_mesh(part).vertices
        if part == twin(part):
            half = vertices[vertices[:, 1] <= 0]
            half = half[farthest_points(half, count // 2)]
            beside = half[:, 1] < -BESIDE
            found[part] = np.vstack([half[beside], half[beside] @ FLIP, half[~beside] * [1, 0, 1]])
        elif part.endswith("_right"):
            found[part] = vertices[farthest_points(vertices, count)]
            found[twin(part)] = found[part] @ FLIP
    parts = [np.full(len(found[part]), number) for number, part in enumerate(skeleton.parts)]
    return BoneSamples(np.concatenate(parts), np.vstack([found[part] for part in skeleton.parts]))


def without_fingers(skeleton: Skeleton) -> Skeleton:
    """Return the skeleton without fingers and thumbs, of which hands keep the template's bend and spread.

    Where the skin's fingers differ, the skin next to a bone is that of another finger or of the palm, which
    would shrink the hand and turn it.
    """
    return replace(skeleton, bones=tuple(bone for bone in skeleton.bones if not DIGITS.match(bone.name)))
