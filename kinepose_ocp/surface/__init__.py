"""From the surface of a body to its skeleton: body model, bones, and the chain of a subject."""

from kinepose_ocp.surface.body import LinearBody, Posed, open_body
from kinepose_ocp.surface.joint_geometry import JointGeometry
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.regressor import Regressor, fit_regressor, load_regressor, save_regressor
from kinepose_ocp.surface.skeleton import Bone, BoneLandmark, Skeleton, SkeletonJoint, open_skeleton
from kinepose_ocp.surface.to_chain import subject_chain

__all__ = [
    "Bone",
    "BoneLandmark",
    "JointGeometry",
    "LinearBody",
    "Mesh",
    "Posed",
    "Regressor",
    "Skeleton",
    "SkeletonJoint",
    "fit_regressor",
    "load_regressor",
    "open_body",
    "open_skeleton",
    "read_mesh",
    "save_regressor",
    "subject_chain",
    "write_mesh",
]
