"""Kernels of windows: exact derivatives of every term against differences and CasADi's own."""

from dataclasses import dataclass, replace
from functools import cache

import casadi as ca
import numpy as np
import pytest
from random_chains import plain_frames, random_chain, random_coordinates, random_data, window_numbers
from test_terms import TERMS, NeutralPosture, name_of

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import KineposeError
from kinepose_ocp.kernels import KernelSet
from kinepose_ocp.terms import AngularAcceleration, KeypointPosition, LinkDirection

STEPS = np.array([0.1, 0.15])
SEEDS = range(3)


@dataclass(frozen=True)
class Entangled:
    """A user's term that couples all DOFs of two frames, and uses all that a frame offers."""

    std: float = 0.5
    weights: tuple[float, ...] = (1.0, 0.5, 2.0)
    span = 2

    def residual(self, before, after):
        last = list(after.pose.keypoint_position)[-1]
        moved = after.pose.keypoint_position[last] - before.pose.keypoint_position[last]
        joint = list(after.pose.rotation)[-1]
        turned = ca.vec(after.pose.rotation[joint] @ before.pose.rotation[joint].T)
        coupled = ca.sin(ca.sum1(before.joint_angle)) * after.joint_angle
        seen = next(iter(before.observed))
        strain = before.confidence[seen] * (before.pose.keypoint_position[seen] - after.observed[seen])
        cosines = ca.vertcat(*[after.link_cosine[link] - before.link_cosine[link] for link in after.links])
        parts = [self.weights * moved / before.step, turned, coupled, strain, cosines, after.translation**2]
        return ca.vertcat(*parts) / self.std


ALL_TERMS = [*TERMS, Entangled()]


class Case:
    """One term on one random chain, most of whose keypoints are measured, with numbers for a window."""

    def __init__(self, seed, term):
        self.chain, self.term = random_chain(seed), term
        rng = np.random.default_rng(seed)
        linked = [name for link in self.chain.links for name in (link.start, link.end)]
        self.measured = tuple(dict.fromkeys(linked))
        self.kernels = KernelSet(self.chain, self.measured, [term])
        (self.kernel,) = self.kernels.kernels
        self.q = random_coordinates(self.chain, rng, term.span)
        self.data = random_data(len(self.measured), rng, term.span)
        self.steps = STEPS[: term.span - 1]
        self.shared = self.kernels.shared_values(self.chain, [term])

    def numbers(self, q=None):
        q = self.q if q is None else q
        return window_numbers(self.kernels, self.kernel, q, self.data, self.steps, self.shared)

    def plain(self):
        """Cost, gradient, Hessian, Gauss-Newton Hessian by CasADi's own differentiation."""
        x, frames = plain_frames(self.chain, self.measured, self.data, self.steps)
        residual = ca.densify(self.term.residual(*frames))
        cost = self.term.cost(*frames) if hasattr(self.term, "cost") else ca.sumsqr(residual) / 2
        hessian, gradient = ca.hessian(cost, x)
        jacobian = ca.jacobian(residual, x)
        function = ca.Function("plain", [x], [cost, gradient, hessian, jacobian.T @ jacobian])
        return [np.array(ca.DM(part)) for part in function(self.q.ravel())]


case_of = cache(Case)  # for tests that change nothing


def close(found, expected, relative):
    return np.abs(found - expected).max() <= relative * (1 + np.abs(expected).max())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("term", ALL_TERMS, ids=name_of)
def test_derivatives_equal_automatic_ones(seed, term):
    case = case_of(seed, term)
    found, (cost, gradient, hessian, gauss_newton) = case.numbers(), case.plain()
    assert found.cost == pytest.approx(cost.item(), rel=1e-9)
    assert close(found.gradient, gradient.ravel(), 1e-9)
    assert close(found.hessian, hessian, 1e-9)
    assert close(found.gauss_newton, gauss_newton, 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("term", ALL_TERMS, ids=name_of)
def test_derivatives_equal_differences(seed, term):
    case = case_of(seed, term)
    found = case.numbers()
    small = 1e-6 * (1 + max(np.abs(found.hessian).max(), found.cost.sum()))
    for i, step in enumerate(1e-5 * np.eye(case.q.size).reshape(case.q.size, *case.q.shape)):
        after, before = case.numbers(case.q + step), case.numbers(case.q - step)
        assert found.gradient[i] == pytest.approx((after.cost - before.cost).sum() / 2e-5, abs=small)
        assert np.allclose(found.hessian[i], (after.gradient - before.gradient) / 2e-5, rtol=0, atol=small)


def test_terms_of_one_span_share_a_kernel_and_keep_their_own_cost():
    chain, rng = random_chain(3), np.random.default_rng(3)
    terms = [AngularAcceleration(), LinkDirection(), NeutralPosture(), KeypointPosition()]
    measured = tuple(chain.keypoints)
    kernels = KernelSet(chain, measured, terms)
    assert [(kernel.span, kernel.terms) for kernel in kernels.kernels] == [(1, (1, 2, 3)), (3, (0,))]
    assert [kernel.uses_data for kernel in kernels.kernels] == [True, False]
    assert len(kernels.patterns) == 3
    q, data = random_coordinates(chain, rng, 1), random_data(len(measured), rng, 1)
    shared = kernels.shared_values(chain, terms)
    together = window_numbers(kernels, kernels.kernels[0], q, data, [], shared)
    alone = []
    for term in terms[1:]:
        own = KernelSet(chain, measured, [term])
        alone.append(window_numbers(own, own.kernels[0], q, data, [], own.shared_values(chain, [term])))
    assert np.allclose(together.cost, [numbers.cost[0] for numbers in alone], rtol=1e-12)
    assert np.allclose(together.gradient, sum(numbers.gradient for numbers in alone))
    assert np.allclose(together.hessian, sum(numbers.hessian for numbers in alone))
    assert np.allclose(together.gauss_newton, sum(numbers.gauss_newton for numbers in alone))


def test_only_links_with_two_measured_ends_count():
    chain = random_chain(1)
    measured = (chain.links[0].start, chain.links[0].end)
    links = KernelSet(chain, measured, [LinkDirection()]).links
    assert chain.links[0] in links
    assert all({link.start, link.end} == set(measured) for link in links)


def test_a_block_couples_only_what_the_terms_couple():
    """Accelerations couple a DOF with itself; links couple the DOFs on one path of the tree."""
    chain = load_chain("imvip22")
    kernels = KernelSet(chain, tuple(chain.keypoints), [LinkDirection(), AngularAcceleration()])
    size = len(chain.free_dofs)
    assert [pattern.nnz() for pattern in kernels.patterns[1:]] == [size, size]
    rows, columns = kernels.patterns[0].get_triplet()
    assert all(row <= column for row, column in zip(rows, columns, strict=True))
    names = list(chain.free_dofs)
    pairs = {(names[row], names[column]) for row, column in zip(rows, columns, strict=True)}
    assert ("hip_right.z", "knee_right.y") in pairs
    assert ("hip_right.z", "hip_left.z") not in pairs


# ---- parameters ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("term", [t for t in TERMS if hasattr(t, "std")], ids=name_of)
def test_a_standard_deviation_is_a_parameter(term):
    case = Case(0, term)
    before = case.numbers()
    case.shared = case.kernels.shared_values(case.chain, [replace(term, std=2 * term.std)])
    after = case.numbers()
    for part in ("cost", "gradient", "hessian", "gauss_newton"):
        assert np.allclose(getattr(after, part), getattr(before, part) / 4, rtol=1e-9)


def test_a_list_of_numbers_is_a_parameter():
    case = Case(0, Entangled())
    heavier = replace(case.term, weights=(3.0, 0.0, -1.0))
    case.shared = case.kernels.shared_values(case.chain, [heavier])
    fresh = Case(0, heavier)
    assert case.kernels.shared_size == len(case.shared) == len(fresh.shared)
    assert case.numbers().cost == pytest.approx(fresh.numbers().cost)
    assert np.allclose(case.numbers().hessian, fresh.numbers().hessian)


def test_segment_lengths_are_parameters():
    case = Case(0, KeypointPosition())
    stretched = {j.name: 0.7 for j in case.chain.joints if j.parent and any(j.offset)}
    longer = case.chain.with_lengths(stretched)
    shared = case.shared = case.kernels.shared_values(longer, [case.term])
    fresh = KernelSet(longer, case.measured, [case.term])
    assert np.array_equal(fresh.shared_values(longer, [case.term]), shared)
    expected = window_numbers(fresh, fresh.kernels[0], case.q, case.data, [], shared)
    assert np.allclose(case.numbers().gradient, expected.gradient)
    assert case.numbers().cost == pytest.approx(expected.cost)


def test_ranges_of_motion_are_no_part_of_a_kernel():
    case = Case(0, LinkDirection())
    free = {name: (-10, 10) for name in case.chain.free_dofs}
    assert np.array_equal(case.kernels.shared_values(case.chain.with_rom(free), [case.term]), case.shared)


def test_a_term_of_other_fields_is_refused():
    case = Case(0, Entangled())
    with pytest.raises(KineposeError) as error:
        case.kernels.shared_values(case.chain, [replace(case.term, weights=(1.0,))])
    assert str(error.value) == (
        "term Entangled has other fields than the problem was built with; build it again"
    )
