"""Points that stand for the bones of a part: far apart, extremes first, the same on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.sides import FLIP, stem_of, twin
from kinepose_ocp.surface.skeleton import Skeleton

COUNTS = {"thorax": 72, "skull": 48, "pelvis": 48, "foot": 40, "tibia": 48, "hand": 48, "scapula": 40}
USUAL = 32  # points of any other part
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
