"""Springs between bones and skin: as long and as deep in every pose as in the rest pose.

The idea is OSSO's (Keller et al., CVPR 2022); here a spring counts by how firmly its skin follows the part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from kinepose_ocp.surface.bone_samples import BoneSamples
from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton

RANKS = (0, 5, 11)  # of the nearest vertices of skin that a point of bone is tied to


@dataclass(frozen=True, eq=False)
class Springs:
    """Springs of a placed skeleton, in the order of :func:`spring_points`.

    vertices of skin (N,), firmness (N,) [1] that sums to one in every part, lengths and depths
    (N,) [m] at rest.
    """

    vertices: np.ndarray
    firmness: np.ndarray
    lengths: np.ndarray
    depths: np.ndarray


def spring_points(samples: BoneSamples) -> BoneSamples:
    """Ends of the springs on the bones: every sample once a rank."""
    return BoneSamples(np.repeat(samples.parts, len(RANKS)), np.repeat(samples.positions, len(RANKS), axis=0))


def springs(
    samples: BoneSamples, placed: PlacedSkeleton, skin: Envelope, owned: list[np.ndarray], weights: np.ndarray
) -> Springs:
    """Tie every sample to skin near it that its part owns (vertices by part); weights (V, P) of the skin."""
    vertices = np.zeros((len(samples.parts), len(RANKS)), dtype=int)
    ends = np.zeros((len(samples.parts), 3))
    for part, name in enumerate(placed.skeleton.parts):
        mine = samples.of(part)
        ends[mine] = placed.at(name, samples.positions[mine])
        tree, own = cKDTree(skin.mesh.vertices[owned[part]]), owned[part]
        found = tree.query(ends[mine], k=min(RANKS[-1] + 1, len(own)))[1]
        found = found.reshape(len(mine), -1)
        vertices[mine] = own[found[:, np.minimum(RANKS, found.shape[1] - 1)]]
    flat, parts = vertices.ravel(), np.repeat(samples.parts, len(RANKS))
    firm = weights[flat, parts] ** 4 + 1e-6
    total = np.bincount(parts, firm, minlength=len(placed.skeleton.parts))
    offset = np.repeat(ends, len(RANKS), axis=0) - skin.mesh.vertices[flat]
    height = np.einsum("ni,ni->n", skin.vertex_normals[flat], offset)
    return Springs(flat, firm / total[parts], np.linalg.norm(offset, axis=1), -height)
