"""What the measured keypoints show of a chain: limbs and hinges, found from the tree, not from names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import casadi as ca
import numpy as np

from kinepose_ocp.chain import Chain, Dof
from kinepose_ocp.kinematics import (
    Geometry,
    JointStep,
    KeypointDerivatives,
    forward_kinematics,
    geometry_values,
)

TURN = 2 * np.pi
EXPECTED_NOISE = 0.01  # m; a keypoint that joints in between can move this much counts half
NEAR_AXIS = 0.005  # m; a keypoint this close to a joint does not show its rotation
SAME_PLACE = 0.03  # m; a keypoint this close to a joint measures its centre
HARDLY = 0.8  # rad; a joint with ranges below this starts no limb, and has no twist to be wrong about


@dataclass(frozen=True)
class Hinge:
    """A one-DOF joint right below another joint, with the keypoint that shows how far it is bent."""

    joint: int
    dof: Dof
    keypoint: int


class Anatomy:
    """What the measured keypoints show of a chain: found once from the tree."""

    def __init__(self, chain: Chain, measured: Sequence[str]):
        self.chain, self.measured = chain, measured
        index = {name: i for i, name in enumerate(chain.joint_names)}
        self.parents = chain.parents
        self.site = [index[chain.keypoints[name].joint] for name in measured]
        self.steps = [JointStep(joint) for joint in chain.joints]
        self.free = [[d for d in joint.dofs if not d.locked] for joint in chain.joints]
        names = list(chain.free_dofs)
        self.columns = [[names.index(name) for name in step.names] for step in self.steps]
        self.turning = [[i for i, dof in enumerate(dofs) if not dof.translates] for dofs in self.free]
        self._arms: dict[int, np.ndarray] = {}
        self.owner = [self._owner(k) for k in range(len(measured))]

    def rotational(self, joint: int) -> list[Dof]:
        """Free rotational DOFs of a joint."""
        return [self.free[joint][i] for i in self.turning[joint]]

    @cached_property
    def rest(self) -> np.ndarray:
        """(n,) angles nearest to zero inside the ROMs [rad or m]."""
        return np.array([min(max(0.0, dof.lower), dof.upper) for dof in self.chain.free_dofs.values()])

    @cached_property
    def placed_at_rest(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation (J, 3, 3) and position (J, 3) [m] of all joints at rest."""
        joints = len(self.steps)
        rotation, position = np.zeros((joints, 3, 3)), np.zeros((joints, 3))
        for j, step in enumerate(self.steps):
            p = self.parents[j]
            base = (np.eye(3), np.zeros(3)) if p < 0 else (rotation[p], position[p])
            turned, moved = step(base[0][None], base[1][None], self.rest[self.columns[j]][None])
            rotation[j], position[j] = turned[0], moved[0]
        return rotation, position

    @cached_property
    def points_at_rest(self) -> np.ndarray:
        """(K, 3) measured keypoints at rest [m]."""
        rotation, position = self.placed_at_rest
        offsets = np.array([self.chain.keypoints[name].offset for name in self.measured])
        return position[self.site] + np.einsum("kij,kj->ki", rotation[self.site], offsets)

    def arms(self, joint: int) -> np.ndarray:
        """(K, 3) vectors [m] from a joint to all keypoints, in the joint's frame, with all joints at rest."""
        if joint not in self._arms:
            rotation, position = self.placed_at_rest
            self._arms[joint] = (self.points_at_rest - position[joint]) @ rotation[joint]
        return self._arms[joint]

    def lever(self, joint: int, keypoint: int) -> float:
        """Distance [m] of a keypoint from what a joint turns about: its axis, or with several its centre."""
        arm, dofs = self.arms(joint)[keypoint], self.rotational(joint)
        if len(dofs) == 1:
            arm = np.cross(dofs[0].axis, arm)
        return float(np.linalg.norm(arm)) if dofs else 0.0

    def _turns(self, joint: int, keypoint: int) -> bool:
        """Whether turning the joint moves a keypoint below it."""
        return self.lever(joint, keypoint) > NEAR_AXIS

    def _owner(self, keypoint: int) -> int:
        """Nearest joint above that turns a keypoint (the root when there is none)."""
        for joint in self.chain.ancestors(self.site[keypoint]):
            if self._turns(joint, keypoint):
                return joint
        return self.chain.ancestors(self.site[keypoint])[-1]

    def owned(self, joint: int) -> list[int]:
        """Keypoints that the joint is the nearest to turn."""
        return [k for k, owner in enumerate(self.owner) if owner == joint]

    def stiffness(self, joint: int) -> np.ndarray:
        """(K,) weight of every keypoint for turning a joint: 1 when rigid with it, 0 when not below it.

        The joints in between are taken to be anywhere in their ROMs. Keypoints beyond the same joint share
        its motion: the stiffest of them counts.
        """
        weights, beyond = np.zeros(len(self.measured)), dict[int, list[int]]()
        for k, site in enumerate(self.site):
            path = self.chain.ancestors(site)
            if joint not in path or not (self._turns(joint, k) or self.parents[joint] < 0):
                continue
            moving = [j for j in path[: path.index(joint)] if self._turns(j, k)]
            reach = sum(
                (self.lever(j, k) * min(dof.upper - dof.lower, TURN)) ** 2 / 12  # variance of an even spread
                for j in moving
                for dof in self.rotational(j)
            )
            weights[k] = 1 / (1 + reach / EXPECTED_NOISE**2)
            if moving:
                beyond.setdefault(moving[-1], []).append(k)
        for sharing in beyond.values():
            stiffest = max(sharing, key=lambda k: weights[k])
            weights[[k for k in sharing if k != stiffest]] = 0.0
        return weights

    def centre(self, joint: int) -> int | None:
        """The keypoint that measures the joint's centre, if there is one."""
        distance = np.linalg.norm(self.points_at_rest - self.placed_at_rest[1][joint], axis=1)
        return int(distance.argmin()) if distance.min() < SAME_PLACE else None

    def next_joints(self, joint: int) -> list[int]:
        """Joints below that turn keypoints of their own, with no other such joint in between."""
        found = []
        for other in range(len(self.steps)):
            path = self.chain.ancestors(other)
            if other == joint or joint not in path or not self.rotational(other) or not self.owned(other):
                continue
            between = path[1 : path.index(joint)]
            if not any(self.rotational(j) and self.owned(j) for j in between):
                found.append(other)
        return found

    def hinges(self, joint: int) -> list[Hinge]:
        """One-DOF joints that follow a joint directly."""
        found = []
        for other in self.next_joints(joint):
            path = self.chain.ancestors(other)
            direct = not any(self.rotational(j) for j in path[1 : path.index(joint)])
            if direct and len(self.rotational(other)) == 1:
                found.append(Hinge(other, self.rotational(other)[0], self.owned(other)[0]))
        return found

    def bending(self, joint: int, hinge: Hinge) -> tuple[np.ndarray, np.ndarray]:
        """How a hinge bends, sampled over its ROM.

        Returns
        -------
        (N,) angles [rad] between the segments above and below, (N, 3) vectors [m] to the hinge's keypoint
        in the frame of the joint above.
        """
        rotation, position = self.placed_at_rest
        grid = np.linspace(max(hinge.dof.lower, -2.9), min(hinge.dof.upper, 2.9), 181)
        q = np.tile(self.rest[self.columns[hinge.joint]], (len(grid), 1))
        q[:, self.turning[hinge.joint][0]] = grid
        base = np.broadcast_to(rotation[self.parents[hinge.joint]], (len(grid), 3, 3))
        turned, _ = self.steps[hinge.joint](base, np.zeros((len(grid), 3)), q)
        beyond = turned @ self.arms(hinge.joint)[hinge.keypoint] @ rotation[joint]
        along = np.broadcast_to((position[hinge.joint] - position[joint]) @ rotation[joint], beyond.shape)
        cross = np.linalg.norm(np.cross(along, beyond), axis=1)
        return np.arctan2(cross, (along * beyond).sum(axis=1)), beyond

    def moves(self, joint: int) -> bool:
        """Whether a joint turns by more than a little: parts of a spine do not."""
        return any(dof.upper - dof.lower >= HARDLY for dof in self.rotational(joint))

    def limb(self, joint: int) -> list[int]:
        """A joint and the unbranched joints that follow, up to five DOFs; one that hardly moves is alone."""
        limb = [joint]
        if not self.moves(joint):
            return limb
        while len(following := self.next_joints(limb[-1])) == 1:
            if sum(len(self.rotational(j)) for j in [*limb, following[0]]) > 5:
                break
            limb.append(following[0])
        return limb


def hidden_dofs(chain: Chain, measured: Sequence[str], poses: int = 8) -> list[str]:
    """Free DOFs that no measured keypoint can show, whatever the pose.

    Judged by the largest motion of a keypoint per radian (or metre) over some poses inside the ROMs.
    """
    names = list(chain.free_dofs)
    q, geometry = ca.SX.sym("q", len(names)), Geometry.of(chain)
    pose = forward_kinematics(chain, dict(zip(names, ca.vertsplit(q), strict=True)), geometry)
    jacobian = KeypointDerivatives(chain, pose, measured).jacobian()
    function = ca.Function("jacobian", [q, geometry.symbol], [ca.densify(jacobian)])
    lower = np.array([max(dof.lower, -np.pi) for dof in chain.free_dofs.values()])
    upper = np.array([min(dof.upper, np.pi) for dof in chain.free_dofs.values()])
    moved = np.zeros(len(names))
    for unit in np.random.default_rng(0).random((poses, len(names))):
        slopes = np.array(function(lower + unit * (upper - lower), geometry_values(chain)))
        points = np.linalg.norm(slopes.reshape(len(measured), 3, len(names)), axis=1)
        moved = np.maximum(moved, points.max(axis=0))
    return [name for name, most in zip(names, moved, strict=True) if most < NEAR_AXIS]
