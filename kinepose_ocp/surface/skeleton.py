"""The template skeleton: bones in rigid parts, the joints between them, and bony landmarks.

World: metres, x forward, y left, z up; all in one common pose, which is the skeleton's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import ModelError, possible
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.yaml_file import read_yaml

KINDS = ("ball", "hinge", "loose")


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone: its mesh in the template pose, and the rigid part that it belongs to."""

    name: str
    part: str
    mesh: Mesh


@dataclass(frozen=True, eq=False)
class SkeletonJoint:
    """A joint between two rigid parts.

    centre (3,) [m]; axes (3, 3), rows: flexion axis (to the right), abduction axis (forward), twist axis
    (up), on both sides alike, as they point in the anatomical position (the wrist's have turned with the
    forearm); kind: ball or hinge (the parts stay together) or loose (they may glide); rig_joint: the joint
    of the open body that moves with it, or None; source: how all this was derived.
    """

    name: str
    parent: str
    child: str
    centre: np.ndarray
    axes: np.ndarray
    kind: str
    rig_joint: str | None
    source: str


@dataclass(frozen=True, eq=False)
class BoneLandmark:
    """A named point (3,) [m] of a rigid part."""

    part: str
    name: str
    position: np.ndarray


@dataclass(frozen=True, eq=False)
class GlidingBone:
    """A bone that moves within its part as a hinge bends: the patella, which stays before the femur.

    angles (N,) [rad]: ascending, of the hinge about its flexion axis; turns (N, 3) [rad]: rotation vectors
    about the hinge's centre, and shifts (N, 3) [m], both in the template of the bone's part.
    """

    bone: str
    joint: str
    angles: np.ndarray
    turns: np.ndarray
    shifts: np.ndarray

    def moved(self, vertices: np.ndarray, centre: np.ndarray, angle: float) -> np.ndarray:
        """Where vertices (n, 3) [m] of the template are, at an angle [rad]; the nearest known one beyond."""
        turn, shift = (
            np.array([np.interp(angle, self.angles, column) for column in values.T])
            for values in (self.turns, self.shifts)
        )
        return Rotation.from_rotvec(turn).apply(vertices - centre) + centre + shift


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Rigid parts (parents before children), bones, joints and bony landmarks of a template.

    Bones named in ``gliding`` move within their part.
    """

    parts: tuple[str, ...]
    bones: tuple[Bone, ...]
    joints: tuple[SkeletonJoint, ...]
    landmarks: tuple[BoneLandmark, ...] = ()
    gliding: tuple[GlidingBone, ...] = ()

    def __post_init__(self) -> None:
        named = [bone.part for bone in self.bones] + [mark.part for mark in self.landmarks]
        named += [part for joint in self.joints for part in (joint.parent, joint.child)]
        for part in named:
            if part not in self.parts:
                raise ModelError(f"no part '{part}' in the skeleton; {possible(part, self.parts)}")
        for joint in self.joints:
            if joint.kind not in KINDS:
                raise ModelError(
                    f"joint '{joint.name}' of kind '{joint.kind}'; {possible(joint.kind, KINDS)}"
                )

        bones = [bone.name for bone in self.bones]
        for glide in self.gliding:
            self.joint(glide.joint)
            if glide.bone not in bones:
                raise ModelError(f"no bone '{glide.bone}' in the skeleton; {possible(glide.bone, bones)}")

    def joint(self, name: str) -> SkeletonJoint:
        """Return a joint; :class:`ModelError` for an unknown one."""
        found = {joint.name: joint for joint in self.joints}
        if name not in found:
            raise ModelError(f"no joint '{name}' in the skeleton; {possible(name, found)}")
        return found[name]

    def landmark(self, part: str, name: str) -> np.ndarray:
        """Return the position (3,) [m] of a bony landmark; :class:`ModelError` for an unknown one."""
        found = {f"{mark.part}/{mark.name}": mark.position for mark in self.landmarks}
        if f"{part}/{name}" not in found:
            raise ModelError(
                f"no landmark '{part}/{name}' in the skeleton; {possible(f'{part}/{name}', found)}"
            )
        return found[f"{part}/{name}"]

    def bones_of(self, part: str) -> tuple[Bone, ...]:
        """Return the bones of a part; :class:`ModelError` for an unknown part."""
        if part not in self.parts:
            raise ModelError(f"no part '{part}' in the skeleton; {possible(part, self.parts)}")
        return tuple(bone for bone in self.bones if bone.part == part)

    def without_gliding(self) -> Skeleton:
        """Return the skeleton without the bones that glide: what is left of a part is rigid."""
        names = {glide.bone for glide in self.gliding}
        return replace(self, bones=tuple(b for b in self.bones if b.name not in names), gliding=())

    @cached_property
    def _part_meshes(self) -> dict[str, Mesh]:
        return {part: joined([bone.mesh for bone in self.bones_of(part)]) for part in self.parts}

    def part_mesh(self, part: str) -> Mesh:
        """Return all bones of a part as one mesh; :class:`ModelError` for an unknown part."""
        if part not in self.parts:
            raise ModelError(f"no part '{part}' in the skeleton; {possible(part, self.parts)}")
        return self._part_meshes[part]


def joined(meshes: list[Mesh]) -> Mesh:
    """Return several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.vstack([mesh.vertices for mesh in meshes]), np.vstack(faces))


# ---- the open skeleton -----------------------------------------------------------------------------
def open_skeleton() -> Skeleton:
    """Return the open skeleton that ships with kinepose_ocp: 102 bones in 23 parts (see its NOTICE)."""
    folder = models_dir() / "surface"
    arrays = read_arrays(folder / "bones.npz")
    bones = tuple(
        Bone(name, part, Mesh(arrays[f"v_{number}"], arrays[f"f_{number}"]))
        for number, (name, part) in enumerate(
            zip(arrays["names"].tolist(), arrays["part"].tolist(), strict=True)
        )
    )
    joints, landmarks, gliding = _anatomy(folder / "anatomy.yaml")
    parts = ("pelvis", *(joint.child for joint in joints))
    return Skeleton(parts, bones, joints, landmarks, gliding)


def _anatomy(
    path: Path,
) -> tuple[tuple[SkeletonJoint, ...], tuple[BoneLandmark, ...], tuple[GlidingBone, ...]]:
    """Joints, parents before children, bony landmarks and gliding bones of an anatomy file."""
    document: Any = read_yaml(path)
    joints = tuple(
        SkeletonJoint(
            **{name: entry[name] for name in ("name", "parent", "child", "kind", "rig_joint", "source")},
            centre=np.array(entry["centre"], dtype=float),
            axes=np.array(entry["axes"], dtype=float),
        )
        for entry in document["joints"]
    )
    landmarks = tuple(
        BoneLandmark(entry["part"], entry["name"], np.array(entry["position"], dtype=float))
        for entry in document["landmarks"]
    )
    gliding = tuple(
        GlidingBone(
            entry["bone"],
            entry["joint"],
            np.radians(entry["angles_deg"]),
            np.array(entry["turns"], dtype=float),
            np.array(entry["shifts"], dtype=float),
        )
        for entry in document["gliding"]
    )
    return joints, landmarks, gliding
