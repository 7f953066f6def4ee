"""A skeleton inside one body: every rigid part scaled, turned and moved.

World: metres, x forward, y left, z up. A point X of the template goes to R (s * (X - origin)) + t, with the
origin in the middle of its part and the scales s along the template's axes, before the rotation. Bones that
glide (the patellae) have moved within their template before, by the angle of their hinge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.sides import twin
from kinepose_ocp.surface.skeleton import Bone, Skeleton, SkeletonJoint, joined


@dataclass(frozen=True, eq=False)
class PlacedSkeleton:
    """Rotations (P, 3, 3), translations (P, 3) [m] and scales (P, 3) of the parts of a skeleton.

    Raises
    ------
    DataError
        For arrays of another shape or with values that are not finite.
    """

    skeleton: Skeleton
    rotations: np.ndarray
    translations: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.skeleton.parts)
        wanted = {"rotations": (count, 3, 3), "translations": (count, 3), "scales": (count, 3)}
        for name, shape in wanted.items():
            values = np.asarray(getattr(self, name), dtype=float)
            if values.shape != shape or not np.isfinite(values).all():
                raise DataError(
                    f"{name} of a placed skeleton must be {shape} finite numbers, found {values.shape}"
                )
            object.__setattr__(self, name, values)

    def part_index(self, part: str) -> int:
        """Return the number of a part; :class:`DataError` for an unknown one."""
        if part not in self.skeleton.parts:
            raise DataError(f"no part '{part}' in the skeleton; {possible(part, self.skeleton.parts)}")
        return self.skeleton.parts.index(part)

    @cached_property
    def origins(self) -> np.ndarray:
        """Origins (P, 3) [m] of the parts in the template."""
        return part_origins(self.skeleton)

    def at(self, part: str, positions: np.ndarray) -> np.ndarray:
        """Where points (..., 3) [m] of a part's template are."""
        number = self.part_index(part)
        scaled = (np.asarray(positions) - self.origins[number]) * self.scales[number]
        return scaled @ self.rotations[number].T + self.translations[number]

    def part_mesh(self, part: str) -> Mesh:
        """Return all bones of a part as one mesh; :class:`DataError` for an unknown part.

        A part may have the name of one of its bones: `tibia_right` is both. See :meth:`bone_mesh`.
        """
        self.part_index(part)
        return joined([self._placed_bone(bone) for bone in self.skeleton.bones_of(part)])

    def bone_mesh(self, name: str) -> Mesh:
        """Return the mesh of one bone; :class:`DataError` for an unknown bone."""
        bones = {bone.name: bone for bone in self.skeleton.bones}
        if name not in bones:
            raise DataError(f"no bone '{name}' in the skeleton; {possible(name, bones)}")
        return self._placed_bone(bones[name])

    def _placed_bone(self, bone: Bone) -> Mesh:
        vertices = bone.mesh.vertices
        for glide in self.skeleton.gliding:
            if glide.bone == bone.name:
                joint = self.skeleton.joint(glide.joint)
                vertices = glide.moved(vertices, joint.centre, self.hinge_angle(joint))
        return bone.mesh.with_vertices(self.at(bone.part, vertices))

    def hinge_angle(self, joint: SkeletonJoint) -> float:
        """Angle [rad] of a joint about its flexion axis, from the template's; a bent knee is negative."""
        parent, child = (self.rotations[self.part_index(part)] for part in (joint.parent, joint.child))
        turned = joint.axes @ parent.T @ child @ joint.axes.T
        return float(np.arctan2(turned[2, 1], turned[1, 1]))

    def landmark(self, part: str, name: str) -> np.ndarray:
        """Position (3,) [m] of a bony landmark."""
        return self.at(part, self.skeleton.landmark(part, name))

    def joint_ends(self) -> np.ndarray:
        """Centre of every joint (J, 2, 3) [m], as a point of its parent part and of its child part."""
        return np.array(
            [[self.at(part, j.centre) for part in (j.parent, j.child)] for j in self.skeleton.joints]
        )

    def joint_centres(self) -> np.ndarray:
        """Centres of the joints (J, 3) [m]: the middle of both parts' points, which loose joints part."""
        return self.joint_ends().mean(1)

    def joint_axes(self) -> np.ndarray:
        """Axes of the joints (J, 3, 3): rows flexion, abduction, twist, as they turn with the child part."""
        turns = [self.rotations[self.part_index(joint.child)] for joint in self.skeleton.joints]
        return np.array(
            [joint.axes @ turn.T for joint, turn in zip(self.skeleton.joints, turns, strict=True)]
        )

    def moved(self, rotations: np.ndarray, translations: np.ndarray) -> PlacedSkeleton:
        """Return the skeleton of the same scales with other rotations and translations."""
        return replace(self, rotations=rotations, translations=translations)


def part_origins(skeleton: Skeleton) -> np.ndarray:
    """Middle of every part's vertices (P, 3) [m], in the mid plane for parts of the middle."""
    origins = np.array([skeleton.part_mesh(part).vertices.mean(0) for part in skeleton.parts])
    middle = [part == twin(part) for part in skeleton.parts]
    origins[middle, 1] = 0.0
    return origins
