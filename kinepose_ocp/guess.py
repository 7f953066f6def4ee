"""Initial guesses: where the optimisation starts decides which minimum it finds.

The chain is walked from the root to the ends. The root is turned onto the measured points (Kabsch, Acta
Cryst. A32, 1976). Each further joint is turned in one of two ways, and the problem keeps the start that costs
less in the end:

* ``analytic``: onto the keypoints it carries and, where a hinge follows, onto the plane in which the limb
  bends; all branches of its angles (two Euler branches, hinge flexed or hyperextended) compete over time.
* ``table``: a limb (a joint and the unbranched joints below) is sampled inside its ranges of motion; the
  nearest samples of every frame compete over time.

Neither looks at joint names: see :mod:`anatomy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.stats import qmc

from kinepose_ocp import joint_angles
from kinepose_ocp.anatomy import Anatomy, Hinge
from kinepose_ocp.chain import Dof

ROUTES = ("table", "analytic")
NEAREST = 32  # samples of a limb that compete in a frame
SAMPLES = {1: 256, 2: 1024, 3: 4096}  # of a limb, by its DOFs
MORE_SAMPLES = 8192
PARENT_PULL = 0.02  # m; where nothing else is known, a joint stays with its parent
MOSTLY = 0.3  # a keypoint shows a joint when its stiffness is this part of the stiffest one's
FEWEST_SEEN = 0.3  # part of the frames; with fewer that show a joint, bridged gaps are used as well
FIT = 10.0  # rad2; what a misfit as long as the measured arms costs
STRAIGHT_CHANGE = 0.01  # rad2; what a frame of the hyperextended branch costs


def guesses(anatomy: Anatomy, position: np.ndarray) -> list[np.ndarray]:
    """Starting coordinates (T, n) [rad or m] of all routes; with gaps, bridged in both ways."""
    found = [guess(anatomy, position, route) for route in ROUTES]
    if np.isnan(position).any():
        found += [guess(anatomy, bridge_gaps(position), route) for route in ROUTES]
    return found


def guess(anatomy: Anatomy, position: np.ndarray, route: str) -> np.ndarray:
    """Return starting coordinates (T, n) [rad or m].

    Parameters
    ----------
    position
        (T, K, 3) measured keypoints [m] in the order of ``anatomy.measured``; NaN = missing.
    route
        One of ``ROUTES``.
    """
    return _Walk(anatomy, position, route).q


@dataclass(frozen=True)
class _Aim:
    """Vectors of a joint's frame (T, M, 3) and where they should point (T, M, 3) [m], with weights (M,)."""

    model: np.ndarray
    measured: np.ndarray
    weight: np.ndarray

    def misfit(self, rotation: np.ndarray) -> np.ndarray:
        """(T,) relative squared distance [1] left by rotations (T, 3, 3)."""
        left = np.square(np.einsum("tij,tmj->tmi", rotation, self.model) - self.measured).sum(axis=2)
        return left @ self.weight / np.maximum(np.square(self.measured).sum(axis=2) @ self.weight, 1e-12)


class _Walk:
    """One walk down the chain: coordinates and placed joints so far."""

    def __init__(self, anatomy: Anatomy, position: np.ndarray, route: str):
        self.anatomy, self.route = anatomy, route
        self.measured = bridge_gaps(position)
        self.missing = ~np.isfinite(position).all(axis=2)
        frames, joints = len(position), len(anatomy.steps)
        self.q = np.tile(anatomy.rest, (frames, 1))
        self.rotation = np.zeros((frames, joints, 3, 3))
        self.position = np.zeros((frames, joints, 3))
        self._chosen: set[int] = set()
        for joint in range(joints):
            self._visit(joint)

    def _visit(self, joint: int) -> None:
        anatomy, parent = self.anatomy, self.anatomy.parents[joint]
        frames, columns = len(self.q), self.anatomy.columns[joint]
        base = (np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3)))
        if parent >= 0:
            base = (self.rotation[:, parent], self.position[:, parent])
        if anatomy.rotational(joint) and joint not in self._chosen:
            resting, origin = anatomy.steps[joint](*base, np.zeros((frames, len(columns))))
            if parent < 0:
                self._turn_root(joint, resting, origin)
            elif (
                self.route == "table"
                and len(anatomy.limb(joint)) > 1
                and self._look_up(joint, base[0], origin)
            ):
                pass
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
        model = anatomy.arms(joint)
        model = model - weight @ model / weight.sum()
        measured = self.measured - np.einsum("k,tki->ti", weight, self.measured)[:, None] / weight.sum()
        aim = _Aim(np.broadcast_to(model, measured.shape), measured, weight)
        turned = self._choose(joint, resting, [aim], [])
        translations = [i for i, dof in enumerate(anatomy.free[joint]) if dof.translates]
        if translations:
            columns = anatomy.columns[joint]
            base = np.broadcast_to(np.eye(3), turned.shape), np.zeros_like(origin)
            q = self.q[:, columns].copy()
            q[:, translations] = 0
            start = anatomy.steps[joint](*base, q)[1]
            reach = []  # where one metre along each translation leads
            for i in translations:
                reach.append(anatomy.steps[joint](*base, q + np.eye(len(columns))[i])[1] - start)
            shift = self._root_origin(joint, turned) - start
            solved = np.einsum("tij,tj->ti", np.linalg.pinv(np.stack(reach, axis=-1)), shift)
            self.q[:, [columns[i] for i in translations]] = solved

    def _root_origin(self, joint: int, turned: np.ndarray) -> np.ndarray:
        """Where the root is when its stiff keypoints lie on the measured ones, (T, 3) [m]."""
        weight = self.anatomy.stiffness(joint)
        placed = np.einsum("tij,kj->tki", turned, self.anatomy.arms(joint))
        return np.einsum("k,tki->ti", weight, self.measured - placed) / weight.sum()

    # ---- analytic ------------------------------------------------------------------------------
    def _turn(self, joint: int, resting: np.ndarray, origin: np.ndarray) -> None:
        """Turn a joint onto what it carries; ``resting`` is its rotation with its own DOFs at zero."""
        anatomy = self.anatomy
        centre = anatomy.centre(joint)
        here = origin if centre is None else self.measured[:, centre]
        weight = anatomy.stiffness(joint)
        carried = np.flatnonzero(weight > 1e-6)
        model = [np.broadcast_to(anatomy.arms(joint)[k], here.shape) for k in carried]
        measured = [self.measured[:, k] - here for k in carried]
        weights = list(weight[carried])
        for axis in PARENT_PULL * np.eye(3):
            model.append(np.broadcast_to(axis, here.shape))
            measured.append(resting @ axis)
            weights.append(1.0)
        bends = [self._bend(joint, hinge, here) for hinge in anatomy.hinges(joint)]
        aims = []
        for branch in range(2 if bends else 1):  # hinges flexed, hinges hyperextended
            pairs = [bend[branch] for bend in bends if bend]
            aims.append(
                _Aim(
                    np.stack(model + [beyond for beyond, _ in pairs], axis=1),
                    np.stack(measured + [lower for _, lower in pairs], axis=1),
                    np.array(weights + [1.0] * len(pairs)),
                )
            )
        shown_by = [int(k) for k in carried if weight[k] > MOSTLY * weight.max()]
        shown_by += [hinge.keypoint for hinge in anatomy.hinges(joint)]
        self._choose(joint, resting, aims, shown_by if centre is None else [*shown_by, centre])

    def _bend(self, joint: int, hinge: Hinge, here: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Direction beyond a hinge, in the joint's frame and measured: flexed branch, hyperextended branch.

        The measured angle between the two segments is looked up among the hinge's own.
        """
        anatomy = self.anatomy
        centre = anatomy.centre(hinge.joint)
        if centre is None:
            if not anatomy.owned(joint):
                return []
            centre = anatomy.owned(joint)[0]
        lower = self.measured[:, hinge.keypoint] - self.measured[:, centre]
        angles, beyond = anatomy.bending(joint, hinge)
        target = _angle(self.measured[:, centre] - here, lower)
        straightest = int(angles.argmin())
        halves = [np.arange(straightest, len(angles)), np.arange(straightest + 1)]
        if len(halves[0]) < len(halves[1]):
            halves.reverse()
        nearest = [half[np.abs(target[:, None] - angles[half][None]).argmin(axis=1)] for half in halves]
        return [(beyond[pick], lower) for pick in nearest]

    def _choose(
        self, joint: int, resting: np.ndarray, aims: Sequence[_Aim], shown_by: Sequence[int]
    ) -> np.ndarray:
        """Set a joint's angles to the smoothest path through all branches; returns its rotation (T, 3, 3)."""
        dofs = self.anatomy.rotational(joint)
        lower, upper = [dof.lower for dof in dofs], [dof.upper for dof in dofs]
        sets, costs = [], []
        for branch, aim in enumerate(aims):
            turned = wahba(aim.model, aim.measured, aim.weight)
            branches = joint_angles.decompose(np.swapaxes(resting, 1, 2) @ turned, dofs)
            for angles in [] if branches is None else joint_angles.into_range(branches, dofs):
                inside = np.clip(angles, lower, upper)
                made = resting @ joint_angles.compose(inside, dofs)
                outside = np.square(angles - inside).sum(axis=1)
                sets.append(inside)
                costs.append(FIT * aim.misfit(made) + 0.1 * outside + 1e-3 * np.square(inside).sum(axis=1))
                costs[-1] += STRAIGHT_CHANGE * branch
        if not sets:
            return resting
        path = self._path(np.stack(sets), np.stack(costs), 0.3, dofs, shown_by)
        self._set([joint], path)
        return resting @ joint_angles.compose(path, dofs)

    def _path(
        self,
        candidates: np.ndarray,
        cost: np.ndarray,
        stiffness: float,
        dofs: Sequence[Dof],
        shown_by: Sequence[int],
    ) -> np.ndarray:
        """Smoothest path through the frames whose keypoints are all seen; straight in between."""
        seen = np.flatnonzero(~self.missing[:, list(shown_by)].any(axis=1))
        if len(seen) < FEWEST_SEEN * len(self.q):
            seen = np.arange(len(self.q))
        weight = stiffness / np.diff(seen)  # a random walk's: the longer a gap, the freer its two ends
        path = joint_angles.smoothest_path(candidates[:, seen], cost[:, seen], weight, _unbounded(dofs))
        return np.stack([np.interp(np.arange(len(self.q)), seen, angle) for angle in path.T], axis=1)

    def _set(self, limb: Sequence[int], angles: np.ndarray) -> None:
        anatomy = self.anatomy
        dofs = [dof for joint in limb for dof in anatomy.rotational(joint)]
        columns = [anatomy.columns[joint][i] for joint in limb for i in anatomy.turning[joint]]
        self.q[:, columns] = np.clip(angles, [dof.lower for dof in dofs], [dof.upper for dof in dofs])
        self._chosen.update(limb)

    # ---- table ---------------------------------------------------------------------------------
    def _look_up(self, joint: int, base: np.ndarray, origin: np.ndarray) -> bool:
        """Set a whole limb from the table; False when the data do not show its links."""
        anatomy = self.anatomy
        limb = anatomy.limb(joint)
        table = limb_table(anatomy, limb)
        seen = []
        for j, k in table.links:
            centre = anatomy.centre(j)
            if centre is None and j != joint:
                return False
            start = origin if centre is None else self.measured[:, centre]
            seen.append(_unit(np.einsum("tji,tj->ti", base, self.measured[:, k] - start)))
        distance, index = KDTree(table.directions).query(np.concatenate(seen, axis=1), k=NEAREST)
        candidates = table.angles[index].transpose(1, 0, 2)
        dofs = [dof for j in limb for dof in anatomy.rotational(j)]
        shown_by = [k for _, k in table.links] + [
            c for j, _ in table.links if (c := anatomy.centre(j)) is not None
        ]
        self._set(limb, self._path(candidates, np.square(distance.T), 1.0, dofs, shown_by))
        return True


@dataclass(frozen=True)
class LimbTable:
    """Sampled angles of a limb (N, n) [rad] and the link directions (N, 3 m) they make at its base."""

    angles: np.ndarray
    directions: np.ndarray
    links: list[tuple[int, int]]  # (joint, keypoint) of each direction


def limb_table(anatomy: Anatomy, limb: Sequence[int]) -> LimbTable:
    """Sample a limb evenly inside its ranges of motion (Sobol' points; unbounded angles: one turn)."""
    dofs = [dof for joint in limb for dof in anatomy.rotational(joint)]
    lower = np.array([dof.lower if np.isfinite(dof.lower) else -np.pi for dof in dofs])
    upper = np.array([dof.upper if np.isfinite(dof.upper) else np.pi for dof in dofs])
    count = SAMPLES.get(len(dofs), MORE_SAMPLES)
    angles = lower + qmc.Sobol(len(dofs), seed=0).random(count) * np.maximum(upper - lower, 1e-9)
    base = (np.broadcast_to(np.eye(3), (count, 3, 3)), np.zeros((count, 3)))
    directions, links, used = [], [], 0
    path = anatomy.chain.ancestors(limb[-1])[::-1]
    for joint in path[path.index(limb[0]) :]:
        q = np.tile(anatomy.rest[anatomy.columns[joint]], (count, 1))
        turning = anatomy.turning[joint] if joint in limb else []
        q[:, turning] = angles[:, used : used + len(turning)]
        used += len(turning)
        base = anatomy.steps[joint](*base, q)
        for k in anatomy.owned(joint) if joint in limb else []:
            directions.append(_unit(base[0] @ anatomy.arms(joint)[k]))
            links.append((joint, k))
    return LimbTable(angles, np.concatenate(directions, axis=1), links)


def wahba(model: np.ndarray, measured: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that turn model vectors (T, M, 3) best onto measured ones, weights (M,)."""
    u, _, vt = np.linalg.svd(np.einsum("m,tmi,tmj->tij", weight, measured, model))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return u @ vt


def bridge_gaps(position: np.ndarray) -> np.ndarray:
    """Copy of (T, K, 3) positions [m], gaps filled linearly in time; a point never seen is in the middle."""
    filled, times = position.copy(), np.arange(len(position))
    seen = np.isfinite(position).all(axis=2)
    middle = position[seen].mean(axis=0) if seen.any() else np.zeros(3)
    for k in range(position.shape[1]):
        known = position[seen[:, k], k] if seen[:, k].any() else middle[None]
        when = times[seen[:, k]] if seen[:, k].any() else times[:1]
        for axis in range(3):
            filled[:, k, axis] = np.interp(times, when, known[:, axis])
    return filled


def _unbounded(dofs: Sequence[Dof]) -> np.ndarray:
    return np.array([np.isinf(dof.lower) and np.isinf(dof.upper) for dof in dofs])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.arctan2(cross, (first * second).sum(axis=-1))
