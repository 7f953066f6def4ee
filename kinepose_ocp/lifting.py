"""Cheap exact derivatives: terms see keypoints and link angles as symbols of their own.

With coordinates q, keypoint positions p(q) and cosines c(p) of the angles between model and measured links,
a term is a function f(q, p, c). Its derivatives there are short; the way back to q is closed-form geometry::

    H <- [I 0; 0 I; 0 C]' H [I 0; 0 I; 0 C] + sum f_c c''      C = dc/dp    (links)
    H <- [I; J]' H [I; J] + sum f_p p''                        J = dp/dq    (keypoints)

Algorithmic differentiation of the whole takes five times as many operations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import casadi as ca

from kinepose_ocp.chain import Chain, Link
from kinepose_ocp.kinematics import KeypointDerivatives
from kinepose_ocp.terms import Frame, link_direction


class Lift:
    """Frames of a window whose measured keypoints and link cosines are symbols, and the way back."""

    def __init__(self, chain: Chain, measured: Sequence[str], frames: Sequence[Frame]):
        self._chain, self._measured, self._poses = chain, measured, [frame.pose for frame in frames]
        self._links = [_LinkCosines(frame, measured) for frame in frames]
        positions = [frame.pose.keypoint_position[name] for frame in frames for name in measured]
        self._point_values = ca.densify(ca.vertcat(*positions))
        self._points = ca.SX.sym("points", self._point_values.numel())
        self._cosine_values = ca.densify(ca.vertcat(*[links.values for links in self._links]))
        self._cosines = ca.SX.sym("cosines", self._cosine_values.numel())
        points = iter(ca.vertsplit(self._points, 3) if measured else [])
        cosines = iter(ca.vertsplit(self._cosines) if self._cosines.numel() else [])
        self.frames = []
        for frame in frames:
            lifted = {**frame.pose.keypoint_position, **{name: next(points) for name in measured}}
            pose = dataclasses.replace(frame.pose, keypoint_position=lifted)
            cosine = {link: next(cosines) for link in frame.links}
            self.frames.append(dataclasses.replace(frame, pose=pose, link_cosine=cosine))

    @cached_property
    def _keypoints(self) -> list[KeypointDerivatives]:
        return [KeypointDerivatives(self._chain, pose, self._measured) for pose in self._poses]

    def lower(self, expression: ca.SX) -> ca.SX:
        """Express in the coordinates what was written in the lifted symbols."""
        symbols, values = [self._points, self._cosines], [self._point_values, self._cosine_values]
        return ca.substitute([expression], symbols, values)[0]

    def derivatives(self, q: ca.SX, cost: ca.SX) -> tuple[ca.SX, ca.SX]:
        """Gradient and Hessian (exact; valid in its upper triangle) of a cost in the lifted symbols."""
        if not self._sees(cost):
            hessian, gradient = ca.hessian(cost, q)
            return gradient, hessian
        hessian, gradient = (self.lower(part) for part in ca.hessian(cost, self._variables(q)))
        spread = self._spread(q)
        multiplier = gradient[q.numel() + self._points.numel() :]
        gradient = spread.T @ gradient
        bending = self._bending(multiplier)
        hessian = spread.T @ hessian @ spread + ca.diagcat(ca.SX(q.numel(), q.numel()), bending)
        tangent = self._tangent(q)
        curvature = ca.diagcat(
            *[
                keypoints.curvature(part)
                for keypoints, part in zip(
                    self._keypoints, self._by_frame(gradient[q.numel() :]), strict=True
                )
            ]
        )
        return tangent.T @ gradient, tangent.T @ hessian @ tangent + curvature

    def gauss_newton(self, q: ca.SX, residual: ca.SX) -> ca.SX:
        """Gauss-Newton Hessian of residuals in the lifted symbols."""
        if not self._sees(residual):
            jacobian = ca.jacobian(residual, q)
            return jacobian.T @ jacobian
        jacobian = self.lower(ca.jacobian(residual, self._variables(q))) @ self._spread(q)
        tangent = self._tangent(q)
        return tangent.T @ (jacobian.T @ jacobian) @ tangent

    def _sees(self, expression: ca.SX) -> bool:
        """Whether an expression depends on keypoints or link cosines."""
        return bool(ca.depends_on(expression, ca.vertcat(self._points, self._cosines)))

    def _variables(self, q: ca.SX) -> ca.SX:
        return ca.vertcat(q, self._points, self._cosines)

    def _spread(self, q: ca.SX) -> ca.SX:
        """d(q, points, cosines) / d(q, points)."""
        slopes = ca.diagcat(*[links.slopes for links in self._links])
        below = ca.horzcat(ca.SX(slopes.shape[0], q.numel()), slopes)
        return ca.vertcat(ca.SX.eye(q.numel() + self._points.numel()), below)

    def _tangent(self, q: ca.SX) -> ca.SX:
        """d(q, points) / dq."""
        jacobian = ca.diagcat(*[keypoints.jacobian() for keypoints in self._keypoints])
        return ca.vertcat(ca.SX.eye(q.numel()), jacobian)

    def _bending(self, multiplier: ca.SX) -> ca.SX:
        parts = self._by_frame(multiplier)
        return ca.diagcat(*[links.curvature(part) for links, part in zip(self._links, parts, strict=True)])

    def _by_frame(self, vector: ca.SX) -> list[ca.SX]:
        count = len(self.frames)
        return ca.vertsplit(vector, vector.numel() // count) if vector.numel() else [vector] * count


class _LinkCosines:
    """Cosines between the model's links d and the measured unit directions v, with derivatives in d.

    With u = d / |d|: ``c = u.v``, ``c' = (v - c u) / |d|`` and
    ``c'' = (3 c u u' - v u' - u v' - c I) / |d|^2``.
    """

    def __init__(self, frame: Frame, measured: Sequence[str]):
        self._place = {name: 3 * i for i, name in enumerate(measured)}
        self._links: tuple[Link, ...] = frame.links
        self._parts = []
        for link in frame.links:
            position, observed = frame.pose.keypoint_position, frame.observed
            vector = ca.densify(position[link.end] - position[link.start])
            model = link_direction(vector)
            seen = link_direction(observed[link.end] - observed[link.start])
            self._parts.append((model, seen, ca.dot(model, seen), ca.sqrt(ca.sumsqr(vector) + 1e-16)))

    @property
    def values(self) -> ca.SX:
        """(L,) cosines [1]."""
        return ca.vertcat(*[cosine for _, _, cosine, _ in self._parts])

    @property
    def slopes(self) -> ca.SX:
        """(L, 3K) derivatives with respect to the keypoints [1/m]."""
        slopes = ca.SX(len(self._links), 3 * len(self._place))
        for row, (link, (model, seen, cosine, length)) in enumerate(
            zip(self._links, self._parts, strict=True)
        ):
            slope = ((seen - cosine * model) / length).T
            start, end = self._place[link.start], self._place[link.end]
            slopes[row, end : end + 3] = slope
            slopes[row, start : start + 3] = -slope
        return slopes

    def curvature(self, multiplier: ca.SX) -> ca.SX:
        """``sum_l multiplier_l c_l''`` with respect to the keypoints, (3K, 3K) [1/m2]."""
        size = 3 * len(self._place)
        curvature = ca.SX(size, size)
        for i, (link, (model, seen, cosine, length)) in enumerate(zip(self._links, self._parts, strict=True)):
            cross = seen @ model.T
            bend = 3 * cosine * (model @ model.T) - cross - cross.T - cosine * ca.SX.eye(3)
            bend = bend * (multiplier[i] / length**2)
            start, end = self._place[link.start], self._place[link.end]
            for row, column, sign in ((start, start, 1), (end, end, 1), (start, end, -1), (end, start, -1)):
                curvature[row : row + 3, column : column + 3] += sign * bend
        return curvature
