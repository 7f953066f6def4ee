"""From the surface of a body to its skeleton: body model, bones, and the chain of a subject."""

from kinepose_ocp.surface.body import LinearBody, Posed, open_body
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.skeleton import Bone, BoneLandmark, Skeleton, SkeletonJoint, open_skeleton

__all__ = [
    "Bone",
    "BoneLandmark",
    "LinearBody",
    "Mesh",
    "Posed",
    "Skeleton",
    "SkeletonJoint",
    "open_body",
    "open_skeleton",
    "read_mesh",
    "write_mesh",
]
