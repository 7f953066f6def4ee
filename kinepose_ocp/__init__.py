"""Joint angles of a whole motion from 3D keypoints, as one optimal control problem."""

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml, chain_to_yaml, load_chain, load_couplings
from kinepose_ocp.coupled_ranges import LinearCoupling, SwingTwistCone
from kinepose_ocp.design_indices import analyse
from kinepose_ocp.errors import DataError, KineposeError, ModelError, SolveError
from kinepose_ocp.io import read_keypoints, read_motion, write
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.problem import Problem, build_problem, default_terms
from kinepose_ocp.solve_motion import solve_motion, tuned_problem
from kinepose_ocp.sweep import sweep
from kinepose_ocp.terms import (
    AngularAcceleration,
    AngularVelocity,
    KeypointPosition,
    LinearAcceleration,
    LinearVelocity,
    LinkDirection,
)

__all__ = [
    "AngularAcceleration",
    "AngularVelocity",
    "Chain",
    "DataError",
    "KeypointPosition",
    "KineposeError",
    "LinearAcceleration",
    "LinearCoupling",
    "LinearVelocity",
    "LinkDirection",
    "ModelError",
    "Problem",
    "SolveError",
    "SwingTwistCone",
    "analyse",
    "build_problem",
    "chain_from_yaml",
    "chain_to_yaml",
    "default_terms",
    "load_chain",
    "load_couplings",
    "make_keypoints",
    "read_keypoints",
    "read_motion",
    "solve_motion",
    "sweep",
    "tuned_problem",
    "write",
]
