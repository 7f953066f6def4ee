"""Points that stand for the bones of a part: far apart, extremes first, the same on both sides."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.sides import FLIP, stem_of, twin
from kinepose_ocp.surface.skeleton import Bone, Skeleton, joined

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


def bones_that_tell(skeleton: Skeleton, part: str) -> list[Bone]:
    """Bones of a part without fingers and thumb, if it has others.

    In a rigid hand these are bent and spread as the template's. Where the skin's are not, the skin next to
    them is that of another finger or of the palm, which would shrink the hand and turn it.
    """
    bones = skeleton.bones_of(part)
    return [bone for bone in bones if not DIGITS.match(bone.name)] or list(bones)


def bone_samples(skeleton: Skeleton, share: float = 1.0) -> BoneSamples:
    """Points of all parts; ``share`` of :data:`COUNTS`. Left parts and halves mirror the right ones."""
    found: dict[str, np.ndarray] = {}
    for part in skeleton.parts:
        count = max(4, round(share * COUNTS.get(stem_of(part), USUAL)))
        vertices = joined([bone.mesh for bone in bones_that_tell(skeleton, part)]).vertices
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
