"""How good a placed skeleton is: bones inside the skin, joints closed, neighbours apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.sides import stem_of

ENDS = ("hand", "foot", "toes")  # parts whose bones are many, in one rigid piece
BEYOND = 0.002  # m


@dataclass(frozen=True, eq=False)
class Quality:
    """Quality of a placed skeleton.

    inside_percent: bones inside the skin, by area; beyond_percent: more than 2 mm outside, by area;
    protrusion_mm: farthest out, and trunk_protrusion_mm the same without hands, feet and toes; hard_gap_mm
    and loose_gap_mm: largest gap of balls and hinges, and of loose joints; inside_of: inside [%] by part;
    overlap_of: how deep neighbouring parts reach into each other [mm] by joint.
    """

    inside_percent: float
    beyond_percent: float
    protrusion_mm: float
    trunk_protrusion_mm: float
    hard_gap_mm: float
    loose_gap_mm: float
    inside_of: dict[str, float]
    overlap_of: dict[str, float]


def joint_gaps(placed: PlacedSkeleton) -> dict[str, float]:
    """Gap [mm] of every joint."""
    ends = placed.joint_ends()
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) * 1e3
    return {joint.name: float(gap) for joint, gap in zip(placed.skeleton.joints, lengths, strict=True)}


def skeleton_quality(placed: PlacedSkeleton, skin: Mesh) -> Quality:
    """Measure a placed skeleton against the closed skin of its body; needs libigl."""
    envelope, parts = Envelope(skin), placed.skeleton.parts
    meshes = [placed.part_mesh(part) for part in parts]
    areas = [mesh.vertex_areas() for mesh in meshes]
    ends = np.cumsum([len(mesh.vertices) for mesh in meshes])[:-1]
    heights = np.split(envelope.signed_distances(np.vstack([mesh.vertices for mesh in meshes])), ends)
    area, height = np.concatenate(areas), np.concatenate(heights)
    out = {part: 1e3 * max(float(each.max()), 0.0) for part, each in zip(parts, heights, strict=True)}
    inside = {part: percent(a, h < 0) for part, a, h in zip(parts, areas, heights, strict=True)}
    trunk = [value for part, value in out.items() if stem_of(part) not in ENDS]
    gaps = joint_gaps(placed)
    kinds = {joint.name: joint.kind for joint in placed.skeleton.joints}
    return Quality(
        percent(area, height < 0),
        percent(area, height > BEYOND),
        max(out.values()),
        max(trunk, default=0.0),
        max((gap for name, gap in gaps.items() if kinds[name] != "loose"), default=0.0),
        max((gap for name, gap in gaps.items() if kinds[name] == "loose"), default=0.0),
        inside,
        overlaps(placed),
    )


def percent(area: np.ndarray, chosen: np.ndarray) -> float:
    """Share of an area [%]."""
    return float(100 * area[chosen].sum() / area.sum())


def overlaps(placed: PlacedSkeleton) -> dict[str, float]:
    """How deep [mm] neighbouring parts reach into each other, by the joint between them; needs libigl.

    The bones of the template touch in their joints: hips overlap by 4.5 mm, wrists by 5.3 mm.
    """
    meshes = {part: placed.part_mesh(part) for part in placed.skeleton.parts}
    return {
        joint.name: 1e3 * overlap(meshes[joint.parent], meshes[joint.child])
        for joint in placed.skeleton.joints
    }


def overlap(first: Mesh, second: Mesh) -> float:
    """Depth [m] of the deepest vertex of one mesh in the other; needs libigl."""
    lower = np.maximum(first.vertices.min(0), second.vertices.min(0))
    upper = np.minimum(first.vertices.max(0), second.vertices.max(0))
    depth = 0.0
    for mesh, other in ((first, second), (second, first)):
        near = mesh.vertices[((mesh.vertices >= lower) & (mesh.vertices <= upper)).all(1)]
        if len(near):
            depth = max(depth, float(-Envelope(other).signed_distances(near).min()))
    return depth
