"""From the surface of a body to its skeleton: body model, bones, and the chain of a subject."""

from kinepose_ocp.surface.body import LinearBody, Posed, open_body
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.placement import place
from kinepose_ocp.surface.posing import pose
from kinepose_ocp.surface.quality import Quality, skeleton_quality
from kinepose_ocp.surface.skeleton import Bone, BoneLandmark, Skeleton, SkeletonJoint, open_skeleton
from kinepose_ocp.surface.skeleton_dataset import skeleton_dataset, skeleton_poses

__all__ = [
    "Bone",
    "BoneLandmark",
    "LinearBody",
    "Mesh",
    "PlacedSkeleton",
    "Posed",
    "Quality",
    "Skeleton",
    "SkeletonJoint",
    "open_body",
    "open_skeleton",
    "place",
    "pose",
    "read_mesh",
    "skeleton_dataset",
    "skeleton_poses",
    "skeleton_quality",
    "write_mesh",
]
