"""THE forward kinematics of a chain: symbols and numbers come from the same CasADi expressions.

Convention, stated here once. With parent p of joint j, rest offset o_j and rest orientation A_j
(both of the chain file), and the rotations of its own DOFs R_1, R_2, ... in the order listed::

    position_j    = position_p + R_p o_j                     (plus its translational DOFs)
    R_j           = R_p A_j R_1 R_2 R_3                      (intrinsic; maps joint frame -> world)
    local_j       = R_1 R_2 R_3                              (identity at rest)
    keypoint_k    = position_j + R_j s_k

A translational DOF moves along its axis in the frame reached by the DOFs listed before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import casadi as ca
import numpy as np

from kinepose_ocp import rotations
from kinepose_ocp.chain import Chain, Joint
from kinepose_ocp.numeric import Framewise


@dataclass(frozen=True)
class Geometry:
    """The lengths of a chain as parameters: the non-zero components of its offsets [m].

    A kernel depends on which components are zero, never on their values, so that chains of different
    size share one program.
    """

    symbol: ca.SX
    joint_offset: Mapping[str, ca.SX]
    keypoint_offset: Mapping[str, ca.SX]

    @classmethod
    def of(cls, chain: Chain, symbol: ca.SX | None = None) -> Geometry:
        """Make the symbolic offsets of a chain."""
        values = geometry_values(chain)
        symbol = ca.SX.sym("geometry", len(values)) if symbol is None else symbol
        components = iter(ca.vertsplit(symbol) if len(values) else [])

        def offset(given: tuple[float, float, float]) -> ca.SX:
            vector = ca.SX(3, 1)
            for i, value in enumerate(given):
                if value != 0:
                    vector[i] = next(components)
            return vector

        joints = {joint.name: offset(joint.offset) for joint in chain.joints}
        keypoints = {name: offset(site.offset) for name, site in chain.keypoints.items()}
        return cls(symbol, joints, keypoints)


def geometry_values(chain: Chain) -> np.ndarray:
    """Return the non-zero components of all offsets [m], in the order that :class:`Geometry` takes."""
    offsets = [joint.offset for joint in chain.joints] + [site.offset for site in chain.keypoints.values()]
    return np.array([value for offset in offsets for value in offset if value != 0], dtype=float)


@dataclass(frozen=True)
class Pose:
    """The chain in one frame, symbolically: everything in the world frame but ``local``."""

    joint_position: Mapping[str, ca.SX]  # (3,) m
    rotation: Mapping[str, ca.SX]  # (3, 3)
    keypoint_position: Mapping[str, ca.SX]  # (3,) m
    local: Mapping[str, ca.SX]  # (4,) quaternion of the joint's own DOFs
    orientation: Mapping[str, ca.SX]  # (4,) quaternion
    dof_axis: Mapping[str, ca.SX]  # (3,) axis of every free DOF
    dof_origin: Mapping[str, ca.SX]  # (3,) m, a point on that axis


@dataclass(frozen=True)
class _Placed:
    """One joint in the world, symbolically."""

    position: ca.SX
    rotation: ca.SX
    orientation: ca.SX
    local: ca.SX
    axis: Mapping[str, ca.SX]
    origin: Mapping[str, ca.SX]


def _place(joint: Joint, below: _Placed | None, offset: ca.SX, coordinates: Mapping[str, ca.SX]) -> _Placed:
    """Place a joint on its placed parent; ``coordinates`` by full DOF name."""
    turn, point, whole = ca.SX.eye(3), ca.SX(3, 1), ca.SX([1, 0, 0, 0])
    if below is not None:
        turn, point, whole = below.rotation, below.position, below.orientation
    point = point + turn @ offset
    turn = turn @ rotations.matrix_of(joint.orientation)
    own = ca.SX([1, 0, 0, 0])
    axis: dict[str, ca.SX] = {}
    origin: dict[str, ca.SX] = {}
    for dof in joint.dofs:
        name = f"{joint.name}.{dof.name}"
        if dof.locked and dof.rest == 0:
            continue
        value = ca.SX(dof.rest) if dof.locked else coordinates[name]
        if not dof.locked:
            axis[name], origin[name] = turn @ ca.DM(dof.axis), point
        if dof.translates:
            point = point + turn @ ca.DM(dof.axis) * value
            continue
        turn = turn @ rotations.about_axis(dof.axis, value)
        own = rotations.quaternion_product(own, rotations.quaternion_about_axis(dof.axis, value))
    rest = rotations.quaternion_product(whole, ca.SX(ca.DM(joint.orientation)))
    return _Placed(point, ca.sparsify(turn), rotations.quaternion_product(rest, own), own, axis, origin)


def forward_kinematics(chain: Chain, coordinates: Mapping[str, ca.SX], geometry: Geometry) -> Pose:
    """Pose of the chain for ``coordinates`` of its free DOFs [rad or m]; locked ones are at rest."""
    joints: dict[str, _Placed] = {}
    for joint in chain.joints:
        below = None if joint.parent is None else joints[joint.parent]
        joints[joint.name] = _place(joint, below, geometry.joint_offset[joint.name], coordinates)
    return Pose(
        joint_position={name: joint.position for name, joint in joints.items()},
        rotation={name: joint.rotation for name, joint in joints.items()},
        keypoint_position={
            name: joints[site.joint].position + joints[site.joint].rotation @ geometry.keypoint_offset[name]
            for name, site in chain.keypoints.items()
        },
        local={name: joint.local for name, joint in joints.items()},
        orientation={name: joint.orientation for name, joint in joints.items()},
        dof_axis={name: axis for joint in joints.values() for name, axis in joint.axis.items()},
        dof_origin={name: point for joint in joints.values() for name, point in joint.origin.items()},
    )


class PoseExpression:
    """Forward kinematics of a chain, worked out once and put into any number of expressions."""

    def __init__(self, chain: Chain, geometry: Geometry):
        q = ca.SX.sym("q", len(chain.free_dofs))
        pose = forward_kinematics(chain, dict(zip(chain.free_dofs, ca.vertsplit(q), strict=True)), geometry)
        self._places = [(field.name, name) for field in fields(Pose) for name in getattr(pose, field.name)]
        outputs = [getattr(pose, kind)[name] for kind, name in self._places]
        self._function = ca.Function("pose", [q, geometry.symbol], outputs)
        self._geometry = geometry.symbol

    def __call__(self, q: ca.SX) -> Pose:
        """Pose for the free coordinates q (n,) [rad or m]."""
        parts: dict[str, dict[str, ca.SX]] = {field.name: {} for field in fields(Pose)}
        outputs = self._function.call([q, self._geometry])
        for (kind, name), value in zip(self._places, outputs, strict=True):
            parts[kind][name] = value
        return Pose(**parts)


class JointStep:
    """Numeric step from a placed parent to one joint, for many frames at once."""

    def __init__(self, joint: Joint):
        self.names = [f"{joint.name}.{dof.name}" for dof in joint.dofs if not dof.locked]
        turn, point = ca.SX.sym("rotation", 3, 3), ca.SX.sym("position", 3)
        q = ca.SX.sym("q", len(self.names))
        below = _Placed(point, turn, ca.SX([1, 0, 0, 0]), ca.SX([1, 0, 0, 0]), {}, {})
        values = dict(zip(self.names, ca.vertsplit(q) if self.names else [], strict=True))
        placed = _place(joint, below, ca.SX(ca.DM(joint.offset)), values)
        outputs = [ca.densify(ca.vec(placed.rotation.T)), ca.densify(placed.position)]
        self._step = Framewise(ca.Function("joint_step", [ca.vec(turn.T), point, q], outputs))

    def __call__(
        self, rotation: np.ndarray, position: np.ndarray, q: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (T, 3, 3) and position (T, 3) [m] of the joint; q (T, n) [rad or m]."""
        frames = len(q)
        turned, moved = self._step(rotation.reshape(frames, 9), position, q)
        return turned.reshape(frames, 3, 3), moved


class KeypointDerivatives:
    """First and second derivatives of keypoint positions, from the geometry of the chain.

    A rotation about axis a through o moves point p by ``a x (p - o)``; a second one further up the chain
    turns that vector, so ``d2p / dq_i dq_j = a_i x dp/dq_j`` for i above j. A tenth of the operations that
    algorithmic differentiation takes (Featherstone, Rigid Body Dynamics Algorithms, 2008, ch. 2 has the
    spatial form).
    """

    def __init__(self, chain: Chain, pose: Pose, keypoints: Sequence[str]):
        self.dofs = list(chain.free_dofs.items())
        self._pose = pose
        self._columns: dict[tuple[int, int], ca.SX] = {}  # (keypoint, dof) -> dp/dq
        index = {name: i for i, name in enumerate(chain.joint_names)}
        owner = [index[name.split(".")[0]] for name, _ in self.dofs]
        above = {i: set(chain.ancestors(i)) for i in index.values()}
        # DOFs that move a DOF: those of joints above, and those before it in its own joint
        self._before = [
            [i for i in range(j + 1) if owner[i] in above[owner[j]] or i == j] for j in range(len(self.dofs))
        ]
        for k, keypoint in enumerate(keypoints):
            site = chain.keypoints[keypoint]
            for j, (name, dof) in enumerate(self.dofs):
                if owner[j] not in above[index[site.joint]]:
                    continue
                arm = ca.sparsify(pose.keypoint_position[keypoint] - pose.dof_origin[name])
                if not dof.translates and arm.nnz() == 0:
                    continue
                axis = pose.dof_axis[name]
                self._columns[k, j] = ca.SX(axis) if dof.translates else ca.cross(axis, ca.densify(arm))
        self._shape = (3 * len(keypoints), len(self.dofs))

    def jacobian(self) -> ca.SX:
        """Return d(keypoint positions)/d(free coordinates), (3K, n) [m/rad or m/m]."""
        jacobian = ca.SX(*self._shape)
        for (k, j), column in self._columns.items():
            jacobian[3 * k : 3 * k + 3, j] = column
        return jacobian

    def curvature(self, multiplier: ca.SX) -> ca.SX:
        """Return the upper triangle of ``sum_k multiplier_k . d2p_k/dq2``, (n, n)."""
        turned: dict[int, ca.SX] = {}
        for (k, j), column in self._columns.items():
            moment = ca.cross(column, multiplier[3 * k : 3 * k + 3])
            turned[j] = turned[j] + moment if j in turned else moment
        curvature = ca.SX(self._shape[1], self._shape[1])
        for j, moment in turned.items():
            for i in self._before[j]:
                if not self.dofs[i][1].translates:
                    curvature[i, j] = ca.dot(self._pose.dof_axis[self.dofs[i][0]], moment)
        return curvature


@dataclass(frozen=True)
class PoseArrays:
    """Poses of many frames as arrays, in the world frame but ``local``."""

    joint_position: np.ndarray  # (T, J, 3) m
    rotation: np.ndarray  # (T, J, 3, 3)
    local: np.ndarray  # (T, J, 4)
    orientation: np.ndarray  # (T, J, 4)
    keypoint_position: np.ndarray  # (T, K, 3) m, in the order of chain.keypoints
    angular_velocity: np.ndarray  # (T, J, 3) rad/s
    dof_axis: np.ndarray  # (T, n, 3) axis of every free DOF


class Kinematics:
    """Numeric forward kinematics of one chain, compiled once and mapped over frames."""

    def __init__(self, chain: Chain):
        self.chain = chain
        names = list(chain.free_dofs)
        q, rate = ca.SX.sym("q", len(names)), ca.SX.sym("rate", len(names))
        geometry = Geometry.of(chain)
        pose = forward_kinematics(chain, dict(zip(names, ca.vertsplit(q), strict=True)), geometry)
        rates = dict(zip(names, ca.vertsplit(rate), strict=True))
        velocity: dict[str, ca.SX] = {}
        for joint in chain.joints:
            spin = velocity[joint.parent] if joint.parent is not None else ca.SX(3, 1)
            for dof in joint.dofs:
                name = f"{joint.name}.{dof.name}"
                if name in pose.dof_axis and not dof.translates:
                    spin = spin + pose.dof_axis[name] * rates[name]
            velocity[joint.name] = spin
        stacks = [
            pose.joint_position,
            {name: ca.vec(matrix.T) for name, matrix in pose.rotation.items()},
            pose.local,
            pose.orientation,
            pose.keypoint_position,
            velocity,
            {name: pose.dof_axis[name] for name in names},
        ]
        outputs = [ca.densify(ca.vertcat(*stack.values())) for stack in stacks]
        self._function = ca.Function("forward_kinematics", [q, rate, geometry.symbol], outputs)

    @cached_property
    def _geometry(self) -> np.ndarray:
        return geometry_values(self.chain)

    def __call__(self, q: np.ndarray, rate: np.ndarray | None = None) -> PoseArrays:
        """Evaluate frames.

        Parameters
        ----------
        q
            (T, n) free coordinates [rad or m] in the order of ``chain.free_dofs``.
        rate
            (T, n) their time derivatives; zero when left out.
        """
        q = np.atleast_2d(q)
        frames = len(q)
        rate = np.zeros_like(q) if rate is None else rate
        mapped = self._function.map(frames)
        outputs = mapped(q.T, rate.T, np.repeat(self._geometry[:, None], frames, axis=1))
        shapes = [(-1, 3), (-1, 3, 3), (-1, 4), (-1, 4), (-1, 3), (-1, 3), (-1, 3)]
        arrays = [
            np.array(output).T.reshape(frames, *shape) for output, shape in zip(outputs, shapes, strict=True)
        ]
        return PoseArrays(*arrays)
