"""From the surface of a body to its skeleton: body model, bones, and the chain of a subject."""

from kinepose_ocp.surface.body import LinearBody, Posed, open_body
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.orientation import MeshFrame
from kinepose_ocp.surface.registration import Registrar, Registration, register
from kinepose_ocp.surface.registration_checks import Bars, Residual
from kinepose_ocp.surface.skeleton import Bone, BoneLandmark, Skeleton, SkeletonJoint, open_skeleton

__all__ = [
    "Bars",
    "Bone",
    "BoneLandmark",
    "LinearBody",
    "Mesh",
    "MeshFrame",
    "Posed",
    "Registrar",
    "Registration",
    "Residual",
    "Skeleton",
    "SkeletonJoint",
    "open_body",
    "open_skeleton",
    "read_mesh",
    "register",
    "write_mesh",
]
