"""Initial guesses: where the optimisation starts decides which minimum it finds.

The chain is walked from the root to the ends. The root is turned onto the measured points (Kabsch, Acta
Cryst. A32, 1976). Each further joint is turned in one of two ways, and the problem keeps the start that costs
less in the end:

* ``analytic``: onto the keypoints it carries and, where a hinge follows, onto the plane in which the limb
  bends; all branches of its angles (two Euler branches, hinge flexed or hyperextended) compete over time.
* ``table``: a limb (a joint and the unbranched joints below) is sampled inside its ranges of motion; the
  nearest samples of every frame compete over time.

Limbs and hinges are found from the tree itself. Neither start looks at joint names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from scipy.stats import qmc

from kinepose_ocp import joint_angles
from kinepose_ocp.chain import Chain, Dof
from kinepose_ocp.kinematics import JointStep

ROUTES = ("analytic", "table")
STIFF = 0.3  # rad of motion in between, at which a keypoint counts a quarter for a joint further up
NEAR_AXIS = 0.005  # m; a keypoint this close to a joint does not show its rotation
SAME_PLACE = 0.03  # m; a keypoint this close to a joint measures its centre
HARDLY = 0.8  # rad; a joint with ranges below this starts no limb
NEAREST = 32  # samples of a limb that compete in a frame


@dataclass(frozen=True)
class _Hinge:
    """A one-DOF joint right below another joint, with the keypoint that shows how far it is bent."""

    joint: int
    dof: Dof
    keypoint: int


class Anatomy:
    """What the measured keypoints show of a chain: found once from the tree."""

    def __init__(self, chain: Chain, measured: list[str]):
        self.chain, self.measured = chain, measured
        index = {name: i for i, name in enumerate(chain.joint_names)}
        self.parents = chain.parents
        self.site = [index[chain.keypoints[name].joint] for name in measured]
        self.steps = [JointStep(joint) for joint in chain.joints]
        self.free = [[d for d in joint.dofs if not d.locked] for joint in chain.joints]
        names = list(chain.free_dofs)
        self.columns = [[names.index(name) for name in step.names] for step in self.steps]
        self.turning = [[i for i, dof in enumerate(dofs) if not dof.translates] for dofs in self.free]
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
        return self.placed(self.rest)

    def placed(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (J, 3, 3) and positions (J, 3) [m] for one set of coordinates (n,)."""
        rotation, position = np.zeros((len(self.steps), 3, 3)), np.zeros((len(self.steps), 3))
        for j, step in enumerate(self.steps):
            p = self.parents[j]
            base = (np.eye(3), np.zeros(3)) if p < 0 else (rotation[p], position[p])
            turned, moved = step(base[0][None], base[1][None], q[self.columns[j]][None])
            rotation[j], position[j] = turned[0], moved[0]
        return rotation, position

    @cached_property
    def points_at_rest(self) -> np.ndarray:
        """(K, 3) measured keypoints at rest [m]."""
        rotation, position = self.placed_at_rest
        offsets = np.array([self.chain.keypoints[name].offset for name in self.measured])
        return position[self.site] + np.einsum("kij,kj->ki", rotation[self.site], offsets)

    def arm(self, joint: int, keypoint: int) -> np.ndarray:
        """Vector [m] from a joint to a keypoint, in the joint's frame, with all joints at rest."""
        rotation, position = self.placed_at_rest
        return rotation[joint].T @ (self.points_at_rest[keypoint] - position[joint])

    def _owner(self, keypoint: int) -> int:
        """Nearest joint above that turns a keypoint (the root when there is none)."""
        for joint in self.chain.ancestors(self.site[keypoint]):
            if self.rotational(joint) and np.linalg.norm(self.arm(joint, keypoint)) > NEAR_AXIS:
                return joint
        return self.chain.ancestors(self.site[keypoint])[-1]

    def owned(self, joint: int) -> list[int]:
        """Keypoints that the joint is the nearest to turn."""
        return [k for k, owner in enumerate(self.owner) if owner == joint]

    def stiffness(self, joint: int) -> np.ndarray:
        """(K,) weight of every keypoint for turning a joint: 1 when rigid with it, 0 when not below it."""
        weights = np.zeros(len(self.measured))
        for k, site in enumerate(self.site):
            path = self.chain.ancestors(site)
            if joint in path and (np.linalg.norm(self.arm(joint, k)) > NEAR_AXIS or self.parents[joint] < 0):
                between = path[: path.index(joint)]
                moving = [j for j in between if np.linalg.norm(self.arm(j, k)) > NEAR_AXIS]
                play = sum(min(d.upper - d.lower, joint_angles.TURN) for j in moving for d in self.rotational(j))
                weights[k] = 1 / (1 + (play / STIFF) ** 2) ** 2
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

    def hinges(self, joint: int) -> list[_Hinge]:
        """One-DOF joints that follow a joint directly."""
        return [
            _Hinge(other, self.rotational(other)[0], self.owned(other)[0])
            for other in self.next_joints(joint)
            if len(self.rotational(other)) == 1
            and not any(self.rotational(j) for j in self.chain.ancestors(other)[1 : self.chain.ancestors(other).index(joint)])
        ]

    def limb(self, joint: int) -> list[int]:
        """A joint and the unbranched joints that follow, up to five DOFs; a joint that hardly moves is alone."""
        limb = [joint]
        if all(dof.upper - dof.lower < HARDLY for dof in self.rotational(joint)):
            return limb
        while len(following := self.next_joints(limb[-1])) == 1:
            if sum(len(self.rotational(j)) for j in [*limb, following[0]]) > 5:
                break
            limb.append(following[0])
        return limb


class Guess:
    """Starting coordinates of a motion, from one walk down the chain."""

    def __init__(self, anatomy: Anatomy, position: np.ndarray, route: str):
        self.anatomy, self.route = anatomy, route
        self.measured = _bridged(position)
        frames, joints = len(position), len(anatomy.steps)
        self.q = np.tile(anatomy.rest, (frames, 1))
        self.rotation = np.zeros((frames, joints, 3, 3))
        self.position = np.zeros((frames, joints, 3))
        self._chosen: set[int] = set()
        for joint in range(joints):
            self._walk(joint)

    def _walk(self, joint: int) -> None:
        anatomy, parent = self.anatomy, self.anatomy.parents[joint]
        frames = len(self.q)
        columns = anatomy.columns[joint]
        if parent < 0:
            base = np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
        else:
            base = self.rotation[:, parent], self.position[:, parent]
        resting, origin = anatomy.steps[joint](*base, np.zeros((frames, len(columns))))
        if anatomy.rotational(joint) and joint not in self._chosen:
            if parent < 0:
                self._turn_root(joint, resting, origin)
            elif self.route == "table" and len(anatomy.limb(joint)) > 1:
                self._look_up(joint, base[0], origin)
            elif anatomy.stiffness(joint).any():
                self._turn(joint, resting, origin)
        turned, moved = anatomy.steps[joint](*base, self.q[:, columns])
        if parent < 0 and not anatomy.chain.root_translates:
            moved = self._root_origin(joint, turned)
        self.rotation[:, joint], self.position[:, joint] = turned, moved

    # ---- the root ------------------------------------------------------------------------------
    def _turn_root(self, joint: int, resting: np.ndarray, origin: np.ndarray) -> None:
        anatomy = self.anatomy
        weight = anatomy.stiffness(joint)
        model = np.array([anatomy.arm(joint, k) for k in range(len(weight))])
        centred = model - weight @ model / weight.sum()
        measured = self.measured - np.einsum("k,tki->ti", weight, self.measured)[:, None] / weight.sum()
        turned = wahba(np.broadcast_to(centred, measured.shape), measured, weight)
        self._choose(joint, np.swapaxes(resting, 1, 2)[None] @ turned[None], np.zeros((1, len(measured))))
        translations = [i for i, dof in enumerate(anatomy.free[joint]) if dof.translates]
        if translations:
            axes = np.stack([resting @ np.array(anatomy.free[joint][i].axis) for i in translations], axis=-1)
            shift = self._root_origin(joint, turned) - origin
            solved = np.einsum("tij,tj->ti", np.linalg.pinv(axes), shift)
            self.q[:, [anatomy.columns[joint][i] for i in translations]] = solved

    def _root_origin(self, joint: int, turned: np.ndarray) -> np.ndarray:
        """Where the root is when its stiff keypoints lie on the measured ones, (T, 3) [m]."""
        weight = self.anatomy.stiffness(joint)
        model = np.array([self.anatomy.arm(joint, k) for k in range(len(weight))])
        placed = np.einsum("tij,kj->tki", turned, model)
        return np.einsum("k,tki->ti", weight, self.measured - placed) / weight.sum()

    # ---- analytic ------------------------------------------------------------------------------
    def _turn(self, joint: int, resting: np.ndarray, origin: np.ndarray) -> None:
        """Turn a joint onto what it carries; ``resting`` is its rotation with its own DOFs at zero."""
        anatomy = self.anatomy
        here = self._centre(joint, origin)
        weight = anatomy.stiffness(joint)
        carried = np.flatnonzero(weight > 1e-6)
        model = [np.broadcast_to(anatomy.arm(joint, k), here.shape) for k in carried]
        measured = [self.measured[:, k] - here for k in carried]
        weights = [weight[k] for k in carried]
        for axis in np.eye(3):  # where nothing else is known, stay with the parent
            model.append(np.broadcast_to(0.02 * axis, here.shape))
            measured.append(0.02 * resting @ axis)
            weights.append(1.0)
        bends: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]  # flexed, hyperextended
        for hinge in anatomy.hinges(joint):
            for branch, pair in zip(bends, self._bend(joint, hinge, here), strict=True):
                branch.append(pair)
        turned = [
            wahba(
                np.stack(model + [m for m, _ in branch], axis=1),
                np.stack(measured + [v for _, v in branch], axis=1),
                np.array(weights + [1.0] * len(branch)),
            )
            for branch in (bends if bends[0] else bends[:1])
        ]
        local = np.swapaxes(resting, 1, 2)[None] @ np.stack(turned)
        cost = np.zeros(local.shape[:2])
        cost[1:] += 0.01  # flexed unless there is a reason
        self._choose(joint, local, cost)

    def _bend(self, joint: int, hinge: _Hinge, here: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Direction beyond a hinge, in the joint's frame and measured: for the flexed and the extended branch.

        The measured angle between the two segments is looked up among the hinge's own.
        """
        anatomy = self.anatomy
        rotation, position = anatomy.placed_at_rest
        there = self._centre(hinge.joint, None)
        upper = (self.measured[:, anatomy.owned(joint)[0]] if there is None and anatomy.owned(joint) else there)
        if upper is None:
            return []
        lower = self.measured[:, hinge.keypoint] - upper
        grid = np.linspace(max(hinge.dof.lower, -2.9), min(hinge.dof.upper, 2.9), 181)
        q = anatomy.rest.copy()
        beyond = []
        for angle in grid:
            q[anatomy.columns[hinge.joint][anatomy.turning[hinge.joint][0]]] = angle
            turned, moved = anatomy.placed(q)
            beyond.append(rotation[joint].T @ turned[hinge.joint] @ anatomy.arm(hinge.joint, hinge.keypoint))
        beyond = np.array(beyond)
        along = rotation[joint].T @ (position[hinge.joint] - position[joint])
        angles = _angle(np.broadcast_to(along, beyond.shape), beyond)
        target = _angle(upper - here, lower)
        straightest = int(angles.argmin())
        halves = [np.arange(straightest, len(grid)), np.arange(0, straightest + 1)]
        if grid[-1] - grid[straightest] < grid[straightest] - grid[0]:
            halves.reverse()
        picks = [half[np.abs(target[:, None] - angles[half][None]).argmin(axis=1)] for half in halves]
        return [(beyond[pick], lower) for pick in picks]

    def _centre(self, joint: int, otherwise: np.ndarray | None) -> np.ndarray | None:
        keypoint = self.anatomy.centre(joint)
        return otherwise if keypoint is None else self.measured[:, keypoint]

    def _choose(self, joint: int, local: np.ndarray, cost: np.ndarray) -> None:
        """Set a joint's angles to the smoothest path through the branches of (C, T, 3, 3) rotations."""
        dofs = self.anatomy.rotational(joint)
        sets, costs = [], []
        for rotation, extra in zip(local, cost, strict=True):
            branches = joint_angles.decompose(rotation, dofs)
            if branches is None:
                return
            for angles in joint_angles.into_range(branches, dofs):
                outside = joint_angles.violation(angles, dofs)
                sets.append(angles)
                costs.append(extra + np.square(outside).sum(axis=1) + 1e-3 * np.square(angles).sum(axis=1))
        self._set([joint], joint_angles.smoothest_path(np.stack(sets), np.stack(costs), 0.3, _unbounded(dofs)))

    def _set(self, limb: list[int], angles: np.ndarray) -> None:
        dofs = [dof for joint in limb for dof in self.anatomy.rotational(joint)]
        columns = [
            self.anatomy.columns[joint][i] for joint in limb for i in self.anatomy.turning[joint]
        ]
        self.q[:, columns] = np.clip(angles, [d.lower for d in dofs], [d.upper for d in dofs])
        self._chosen.update(limb)

    # ---- table ---------------------------------------------------------------------------------
    def _look_up(self, joint: int, base: np.ndarray, origin: np.ndarray) -> None:
        anatomy = self.anatomy
        limb = anatomy.limb(joint)
        samples, features, pairs = _limb_table(anatomy, tuple(limb))
        seen = []
        for j, k in pairs:
            start = self._centre(j, origin if j == joint else None)
            if start is None:
                return self._turn(joint, base @ _rest_turn(anatomy, joint), origin)
            seen.append(_unit(self.measured[:, k] - start))
        measured = np.concatenate([np.einsum("tji,tj->ti", base, direction) for direction in seen], axis=1)
        distance, index = KDTree(features).query(measured, k=min(NEAREST, len(samples)))
        dofs = [dof for j in limb for dof in anatomy.rotational(j)]
        candidates = samples[index].transpose(1, 0, 2)
        path = joint_angles.smoothest_path(candidates, np.square(distance.T), 1.0, _unbounded(dofs))
        self._set(limb, path)
        return None


def _limb_table(anatomy: Anatomy, limb: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Samples of a limb's angles (N, n), link directions (N, 3 m) in its base's frame, (joint, keypoint) pairs."""
    dofs = [dof for joint in limb for dof in anatomy.rotational(joint)]
    lower = np.array([dof.lower if np.isfinite(dof.lower) else -np.pi for dof in dofs])
    upper = np.array([dof.upper if np.isfinite(dof.upper) else np.pi for dof in dofs])
    count = {2: 1024, 3: 8192}.get(len(dofs), 32768)
    unit = qmc.Sobol(len(dofs), seed=0).random(count)
    samples = lower + unit * np.maximum(upper - lower, 1e-9)
    turned: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    path = [j for j in reversed(anatomy.chain.ancestors(limb[-1])) if j >= 0]
    path = path[path.index(limb[0]) :]
    used = 0
    features, pairs = [], []
    for joint in path:
        below = turned.get(anatomy.parents[joint], (np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))))
        q = np.tile(anatomy.rest[anatomy.columns[joint]], (count, 1))
        if joint in limb:
            n = len(anatomy.turning[joint])
            q[:, anatomy.turning[joint]] = samples[:, used : used + n]
            used += n
        turned[joint] = anatomy.steps[joint](*below, q)
        if joint in limb:
            for k in anatomy.owned(joint):
                features.append(_unit(turned[joint][0] @ anatomy.arm(joint, k)))
                pairs.append((joint, k))
    return samples, np.concatenate(features, axis=1), pairs


def _rest_turn(anatomy: Anatomy, joint: int) -> np.ndarray:
    """Constant rotation from a joint's parent to its frame with its own DOFs at zero."""
    zero = np.zeros((1, len(anatomy.columns[joint])))
    return anatomy.steps[joint](np.eye(3)[None], np.zeros((1, 3)), zero)[0]


def wahba(model: np.ndarray, measured: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that turn model vectors (T, M, 3) best onto measured ones, weights (M,)."""
    u, _, vt = np.linalg.svd(np.einsum("m,tmi,tmj->tij", weight, measured, model))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return u @ vt


def _unbounded(dofs: list[Dof]) -> np.ndarray:
    return np.array([not np.isfinite(dof.upper - dof.lower) for dof in dofs])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.arctan2(cross, (first * second).sum(axis=-1))


def _bridged(position: np.ndarray) -> np.ndarray:
    """Copy of (T, K, 3) with gaps filled linearly in time; points never seen stay at the mean of the others."""
    filled = position.copy()
    times = np.arange(len(position))
    for k in range(position.shape[1]):
        seen = np.isfinite(position[:, k]).all(axis=1)
        for axis in range(3):
            if seen.any():
                filled[:, k, axis] = np.interp(times, times[seen], position[seen, k, axis])
    return filled


def guess(chain: Chain, measured: list[str], position: np.ndarray, route: str) -> np.ndarray:
    """Return starting coordinates (T, n) [rad or m] for measured positions (T, K, 3) [m], NaN = missing."""
    return Guess(Anatomy(chain, measured), position, route).q


__all__ = ["ROUTES", "Rotation", "guess", "wahba"]
