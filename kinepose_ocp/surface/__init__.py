"""From the surface of a body to its skeleton: body model, bones, and the chain of a subject."""

from kinepose_ocp.surface.body import LinearBody, Posed, example_people, open_body
from kinepose_ocp.surface.body_files import load_body
from kinepose_ocp.surface.driven_skin import drive_skin
from kinepose_ocp.surface.joint_geometry import JointGeometry
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.orientation import MeshFrame
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.placement import place
from kinepose_ocp.surface.posing import pose
from kinepose_ocp.surface.quality import Quality, skeleton_quality
from kinepose_ocp.surface.registration import Registrar, Registration, register
from kinepose_ocp.surface.registration_checks import Bars, Residual
from kinepose_ocp.surface.regressor import Regressor, fit_regressor, load_regressor, save_regressor
from kinepose_ocp.surface.skeleton import (
    Bone,
    BoneLandmark,
    GlidingBone,
    Skeleton,
    SkeletonJoint,
    open_skeleton,
)
from kinepose_ocp.surface.skeleton_dataset import skeleton_dataset, skeleton_poses
from kinepose_ocp.surface.to_chain import subject_chain

__all__ = [
    "Bars",
    "Bone",
    "BoneLandmark",
    "GlidingBone",
    "JointGeometry",
    "LinearBody",
    "Mesh",
    "MeshFrame",
    "PlacedSkeleton",
    "Posed",
    "Quality",
    "Registrar",
    "Registration",
    "Regressor",
    "Residual",
    "Skeleton",
    "SkeletonJoint",
    "drive_skin",
    "example_people",
    "fit_regressor",
    "load_body",
    "load_regressor",
    "open_body",
    "open_skeleton",
    "place",
    "pose",
    "read_mesh",
    "register",
    "save_regressor",
    "skeleton_dataset",
    "skeleton_poses",
    "skeleton_quality",
    "subject_chain",
    "write_mesh",
]
