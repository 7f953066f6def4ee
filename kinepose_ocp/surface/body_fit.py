"""Gauss-Newton steps of a body towards points of a surface: its shape, its pose and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.numeric import Numeric
from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.correspondence import COMPATIBLE, Samples, Surface, spread_vertices
from kinepose_ocp.surface.pose_limits import PoseLimits, pose_limits
from kinepose_ocp.surface.skin_jacobian import SkinJacobian

LIMIT_STD = 0.1  # rad by which a joint may exceed its limits
LONGEST_TURN = 0.4  # rad that a joint may turn in one step
SHAPE_BOUND = 6.0  # standard deviations
LANDMARK_STD = 0.01  # m


@dataclass(frozen=True, eq=False)
class BodyState:
    """What a fit finds: shape (S,), rotation vectors (K, 3) [rad], translation (3,) [m]."""

    shape: np.ndarray
    rotations: np.ndarray
    translation: np.ndarray

    def moved(self, step: np.ndarray) -> BodyState:
        """Return the state after a step (S + 3 K + 3,), whose turns are kept short."""
        shapes = len(self.shape)
        turns = step[shapes:-3].reshape(-1, 3)
        turns = turns / np.maximum(1, np.linalg.norm(turns, axis=1, keepdims=True) / LONGEST_TURN)
        shape = np.clip(self.shape + step[:shapes], -SHAPE_BOUND, SHAPE_BOUND)
        return BodyState(shape, self.rotations + turns, self.translation + step[-3:])


@dataclass(frozen=True)
class Stage:
    """How a fit goes for some iterations.

    vertices: of the body; points: of the mesh; std: deviation of a surface point [m]; sliding: share of the
    weight that also holds along the surface; back: weight of matches from the mesh to the body; pose_std:
    weak pull of every joint to the start [rad]; cutoff: distance [m] above which matches fade, at least;
    independent: as how many points all together count, as neighbouring ones tell much the same;
    settled: a step that moves the vertices by less in the mean [m] is the last one; damping: of the steps, by
    the diagonal of the Hessian; near: derivatives serve until the vertices have moved by that much [m, root
    mean square], when limbs have turned by a few hundredths of a radian. What skin hardly tells, like the
    twist of a forearm, is only found with derivatives of the place itself. measured: std is what the heights
    of the matches show, at least the given one.
    """

    vertices: int
    points: int
    iterations: int
    std: float
    sliding: float
    back: float
    pose_std: float
    cutoff: float
    independent: float = 200.0
    settled: float = 1e-5
    damping: float = 0.01
    near: float = 0.004
    measured: bool = False


@dataclass
class NormalEquations:
    """H dx = -g of weighted squares, summed up row by row."""

    hessian: np.ndarray
    gradient: np.ndarray

    @classmethod
    def empty(cls, size: int) -> NormalEquations:
        return cls(np.zeros((size, size)), np.zeros(size))

    def add(self, rows: np.ndarray, residuals: np.ndarray, weights: np.ndarray) -> None:
        """Add residuals (N,) with derivatives (N, n) and weights (N,), one over a variance."""
        roots = np.sqrt(weights)
        scaled = rows * roots[:, None]
        self.hessian += scaled.T @ scaled  # of one matrix with itself: half the work
        self.gradient += scaled.T @ (roots * residuals)

    def step(self, damping: float, held: int = 0) -> np.ndarray:
        """Return the damped Newton step (n,), in which the first ``held`` coordinates stay."""
        hessian, step = self.hessian[held:, held:], np.zeros(len(self.gradient))
        damped = hessian + np.diag(damping * np.diag(hessian) + 1e-9)
        step[held:] = -np.linalg.solve(damped, self.gradient[held:])
        return step


@dataclass(frozen=True, eq=False)
class Moved:
    """Chosen vertices (N, 3) [m] of a body in a state, their derivatives (N, 3, n) and normals (N, 3).

    The derivatives are those of vertices at ``beside`` (N, 3) [m], which is the same place or near. shares
    (N,): how much each counts.
    """

    vertices: np.ndarray
    jacobian: np.ndarray
    normals: np.ndarray
    beside: np.ndarray
    shares: np.ndarray

    def distance(self, vertices: np.ndarray) -> float:
        """By how much vertices (N, 3) [m] have moved from here in the mean [m]."""
        return float(self.shares @ np.linalg.norm(vertices - self.vertices, axis=1) / self.shares.sum())


class BodyFit:
    """Functions of some vertices of a body and their derivatives, built once for all meshes.

    vertices: numbers of the chosen ones, the body's landmarks among them: spread evenly and counting alike,
    or all of them, counting by the area around them.
    """

    def __init__(self, body: LinearBody, count: int):
        self.body = body
        self.limits: PoseLimits = pose_limits(body)
        resting = body.mesh(body.posed())
        if count < len(body.template):
            landmarks = np.array(list(body.landmarks.values()), dtype=np.int64)
            self.vertices = spread_vertices(body.template, count, landmarks)
            self._shares = np.ones(len(self.vertices))
        else:
            self.vertices = np.arange(len(body.template))
            self._shares = resting.vertex_areas()
        rows = {int(vertex): row for row, vertex in enumerate(self.vertices)}
        self.landmark_rows = {name: rows[vertex] for name, vertex in body.landmarks.items()}
        self.size = body.shape_count + 3 * len(body.parents) + 3
        self._value = Numeric(body.expression(self.vertices))
        self._jacobian = SkinJacobian(body, self.vertices)
        self._rest_normals = resting.vertex_normals()[self.vertices]
        self._weights = body.weights[self.vertices]

    def moved(self, state: BodyState, last: Moved | None = None, near: float = 0.0) -> Moved:
        """Return the chosen vertices of a state, with derivatives.

        Those of ``last`` serve where vertices have moved by less than ``near`` [m, root mean square].
        """
        vertices, normals = self.placed(state)
        if last is not None and ((vertices - last.beside) ** 2).sum(1).mean() < near**2:
            return Moved(vertices, last.jacobian, normals, last.beside, self._shares)
        jacobian = self._jacobian(state.shape, state.rotations, state.translation)
        return Moved(vertices, jacobian, normals, vertices, self._shares)

    def placed(self, state: BodyState) -> tuple[np.ndarray, np.ndarray]:
        """Return the chosen vertices (N, 3) [m] of a state and their normals (N, 3)."""
        vertices, rotations, _ = self._value(state.shape, state.rotations.T, state.translation)
        return vertices.T, self._normals(rotations)

    def _normals(self, rotations: np.ndarray) -> np.ndarray:
        """Normals (N, 3) of the mean body at rest, turned by the blended rotations (3, 3 K) of the joints."""
        joints = len(self.body.parents)
        turned = rotations.reshape(3, joints, 3).transpose(1, 0, 2).reshape(joints, 9)
        normals = np.einsum("nij,nj->ni", (self._weights @ turned).reshape(-1, 3, 3), self._rest_normals)
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    def add_prior(
        self, equations: NormalEquations, state: BodyState, start: np.ndarray, pose_std: float
    ) -> None:
        """Draw the shape to the mean, and joints to the start (K, 3) and inside their limits."""
        shapes, size = len(state.shape), self.size
        unit = np.eye(size)
        equations.add(unit[:shapes], state.shape, np.ones(shapes))
        drawn = unit[shapes + 3 : -3]
        equations.add(drawn, (state.rotations - start)[1:].ravel(), np.full(len(drawn), pose_std**-2.0))
        excess = self.limits.excess(state.rotations)
        joint, axis = np.nonzero(excess)
        rows = np.zeros((len(joint), size))
        for row, (k, i) in enumerate(zip(joint, axis, strict=True)):
            rows[row, shapes + 3 * k : shapes + 3 * k + 3] = self.limits.axes[k, i]
        equations.add(rows, excess[joint, axis], np.full(len(joint), LIMIT_STD**-2.0))

    def add_landmarks(
        self, equations: NormalEquations, moved: Moved, landmarks: dict[str, np.ndarray]
    ) -> None:
        """Draw the vertices of named landmarks to their positions (3,) [m]."""
        for name, position in landmarks.items():
            row = self.landmark_rows[name]
            gap = moved.vertices[row] - position
            equations.add(moved.jacobian[row], gap, np.full(3, LANDMARK_STD**-2.0))


def add_surface(
    equations: NormalEquations, moved: Moved, mesh: Samples | Surface, back: Samples | None, stage: Stage
) -> None:
    """Draw body vertices to the mesh next to them, and, by ``stage.back``, the body to points near it.

    mesh: samples, next in position and normal, or the surface, whose closest points count. ``back`` are the
    points of the mesh that look for the body. Matches at holes or with other normals do not count; far ones
    fade (Cauchy's weights).
    """
    found = mesh.matched(moved.vertices, moved.normals)
    facing = (found.normals * moved.normals).sum(1) > COMPATIBLE
    rows = np.flatnonzero(~found.at_hole & facing)
    _add_matches(equations, moved, rows, found.at(rows), stage, 1.0)
    if back is not None:
        own = Samples(moved.vertices, moved.normals, np.zeros(len(moved.vertices), bool))
        nearest = own.nearest(back.points, back.normals)
        kept = np.flatnonzero((back.normals * moved.normals[nearest]).sum(1) > COMPATIBLE)
        rows = nearest[kept]
        matched = Samples(back.points[kept], moved.normals[rows], back.at_hole[kept])
        _add_matches(equations, moved, rows, matched, stage, stage.back)


def _add_matches(
    equations: NormalEquations, moved: Moved, rows: np.ndarray, matched: Samples, stage: Stage, share: float
) -> None:
    """Draw vertices, by their rows, to points along the normals of these, and a little along the surface."""
    if not len(rows):
        return
    gap = moved.vertices[rows] - matched.points
    distance = np.linalg.norm(gap, axis=1)
    height = (matched.normals * gap).sum(1)
    cutoff = max(stage.cutoff, 2.5 * float(np.median(distance)))
    shares = moved.shares[rows] / moved.shares[rows].sum()
    fading = shares / (1 + (distance / cutoff) ** 2)
    std = max(stage.std, float(np.sqrt(fading @ height**2))) if stage.measured else stage.std
    weight = share * stage.independent * fading / std**2
    jacobian = moved.jacobian[rows]
    equations.add(np.einsum("ni,nij->nj", matched.normals, jacobian), height, weight)
    if stage.sliding:
        held = np.repeat(weight * stage.sliding, 3)
        equations.add(jacobian.reshape(len(held), -1), gap.ravel(), held)
