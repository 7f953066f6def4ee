"""From surfaces to one subject: bones in every pose, joint geometry, chain, and how good all that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinepose_ocp.chain import Chain
from kinepose_ocp.surface.anthropometry import Proportion, proportions
from kinepose_ocp.surface.joint_geometry import JointGeometry, placed_geometry
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.placement import placement_problem
from kinepose_ocp.surface.posing import posed_frames
from kinepose_ocp.surface.quality import Quality, skeleton_quality
from kinepose_ocp.surface.regressed_sizes import RegressedSizes
from kinepose_ocp.surface.skeleton import Skeleton
from kinepose_ocp.surface.surfaces import Surfaces, Tick
from kinepose_ocp.surface.to_chain import subject_chain

JUDGED = 5  # frames of a sequence whose bones are measured against the skin


@dataclass(frozen=True, eq=False)
class Subject:
    """A person's skeleton, at rest and in every pose.

    hinges_at_limit: how many hinges are at an end of their range, at rest and in every pose; judged: frames
    whose quality was measured, with these qualities.
    """

    surfaces: Surfaces
    resting: PlacedSkeleton
    poses: tuple[PlacedSkeleton, ...]
    geometry: JointGeometry
    chain: Chain
    proportions: tuple[Proportion, ...]
    hinges_at_limit: tuple[int, ...]
    judged: tuple[int, ...]
    qualities: tuple[Quality, ...]
    regressed: RegressedSizes | None = None


def make_subject(
    surfaces: Surfaces,
    skeleton: Skeleton,
    name: str = "subject",
    tick: Tick | None = None,
    regressed: RegressedSizes | None = None,
) -> Subject:
    """Place a skeleton in a body at rest, pose it, and make the chain of its joints.

    Parameters
    ----------
    name
        Of the chain.
    tick
        Called with what is being done.
    regressed
        Sizes of parts that the placement starts from and draws to.

    Raises
    ------
    SolveError
        When the skeleton cannot be placed or posed.
    """
    said = tick or (lambda text: None)
    said("placing the bones")
    sizes = None if regressed is None else regressed.of_part
    placement = placement_problem(skeleton).place(surfaces.body, surfaces.rest, sizes)
    resting = placement.placed
    poses, at_limit = _posed(surfaces, resting, said)
    vertices = surfaces.rest.vertices
    skin = {mark: vertices[vertex] for mark, vertex in surfaces.body.landmarks.items()}
    geometry = placed_geometry(resting, skin)
    said("measuring")
    judged = sorted(set(np.linspace(0, len(poses) - 1, JUDGED).round().astype(int).tolist()))
    return Subject(
        surfaces=surfaces,
        resting=resting,
        poses=tuple(poses),
        geometry=geometry,
        chain=subject_chain(geometry, name),
        proportions=proportions(geometry, surfaces.stature),
        hinges_at_limit=(placement.rounds[-1].at_bound, *at_limit),
        judged=tuple(judged),
        qualities=tuple(
            skeleton_quality(poses[number], surfaces.body.mesh(surfaces.targets[number])) for number in judged
        ),
        regressed=regressed,
    )


def _posed(surfaces: Surfaces, resting: PlacedSkeleton, said: Tick) -> tuple[list[PlacedSkeleton], list[int]]:
    """The skeleton in every pose, and how many hinges are at an end of their range there."""
    said("building the program of the poses")
    poses: list[PlacedSkeleton] = []
    at_limit: list[int] = []
    for solved in posed_frames(resting, surfaces.body, surfaces.rest, surfaces.targets):
        poses.append(solved.placed)
        at_limit.append(solved.at_bound)
        said(f"posing the bones: {len(poses)} of {len(surfaces.targets)}")
    return poses, at_limit


def worst(qualities: Sequence[Quality]) -> Quality:
    """Return the quality of the frame whose bones lie least inside the skin."""
    return min(qualities, key=lambda each: each.inside_percent)
