"""Are the derivatives right? Sensitivities to ROM limits against finite differences of solving again.

Motions of both chains inside ROMs that are narrower than they need, so that many limits hold. Each limit is
moved up and down by a thousandth of a degree, the motion solved again to rounding, and the difference
compared with the multiplier (``cost_per_bound``) and the derivatives of all angles (``angle_per_bound``).
Where another angle meets or leaves its limit on the way there is no one slope to compare with: the step is
then shorter, until the same limits hold on both sides.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import newton, plotting
from kinepose_ocp.case import Case
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.synthetic import measure, random_motion

MOTIONS = (("imvip22", 1), ("imvip22", 2), ("fullbody", 3))  # chain, seed
COUNT = 20  # limits of each motion
STEPS = (1e-3, 1e-4, 1e-5)  # degree; the longest that changes no contact
NOISE = 0.005  # m
TERMS = (kp.KeypointPosition(NOISE), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
INSIDE = (0.2, 0.8)  # quantiles of the true angle that become its ROM
EVERY = 2  # one DOF in so many gets such a ROM
STATED = {"multiplier": 1e-5, "angles": 1e-3}  # relative
COLOURS = {"multiplier": "#0077BB", "angles": "#EE7733"}
NAMES = {"multiplier": "multiplier (cost)", "angles": "derivatives of all angles (norm)"}


def main(folder: Path, motions=MOTIONS, frames: int = 25, count: int = COUNT) -> xr.Dataset:
    """Compare up to ``count`` limits of every motion; write the figure and the numbers to ``folder``."""
    parts = [compared(model, seed, frames, count) for model, seed in motions]
    result = xr.concat(parts, "case", combine_attrs="drop")
    result.attrs["title"] = __doc__.splitlines()[0]
    kp.write(result, folder / "sensitivity_accuracy.nc")
    plotting.save_figure(figure(result), folder / "sensitivity_accuracy.png")
    report(result)
    print(f"written: {folder}/sensitivity_accuracy.nc, sensitivity_accuracy.png")
    return result


def compared(model: str, seed: int, frames: int, count: int) -> xr.Dataset:
    """Relative differences of one motion's limits, those with most force first."""
    chain, truth = narrowed(model, seed, frames)
    problem = kp.build_problem(chain, measure(truth, noise=NOISE, seed=1), TERMS)
    motion = problem.solve(solver="newton")
    owed = problem.sensitivities(motion)
    order = abs(owed.cost_per_bound).argsort().values[::-1][:count]
    found = []
    for bound in owed.bound.values[order]:
        step, angles, price = differences(problem, motion, chain, str(bound))
        one = owed.sel(bound=bound)
        apart = np.linalg.norm(one.angle_per_bound.values - angles) / np.linalg.norm(angles)
        found.append((abs(float(one.cost_per_bound) / price - 1), apart, step))
    *relative, steps = np.transpose(found)
    attributes = {"units": "1", "long_name": "relative difference from solving again"}
    return xr.Dataset(
        {
            **{name: ("case", values, attributes) for name, values in zip(STATED, relative, strict=True)},
            "step": ("case", steps, {"units": "degree", "long_name": "by which the limit is moved"}),
        },
        {
            "motion": ("case", [f"{model}, seed {seed}"] * len(found)),
            "bound": ("case", owed.bound.values[order].astype(str)),
        },
    )


def differences(
    problem: kp.Problem, motion: xr.Dataset, chain: kp.Chain, bound: str
) -> tuple[float, np.ndarray, float]:
    """Step [degree], and central differences of all angles [1] and of the cost [1/degree]."""
    for step in STEPS:
        low, high = (again(problem, motion, moved(chain, bound, by)) for by in (-step, step))
        if np.array_equal(low.held, high.held):
            break
    return step, (high.angles - low.angles) / (2 * step), (high.cost - low.cost) / (2 * step)


def narrowed(model: str, seed: int, frames: int) -> tuple[kp.Chain, xr.Dataset]:
    """A chain inside whose ROMs the motion does not fit, and the motion."""
    chain = kp.load_chain(model).with_moving_root()
    truth = random_motion(chain, frames, 60, seed, straight=False)
    limited = [name for name, dof in chain.free_dofs.items() if np.isfinite([dof.lower, dof.upper]).all()][
        ::EVERY
    ]
    ends = {name: truth.joint_angle.sel(dof=name).quantile(INSIDE).values for name in limited}
    return chain.with_rom({name: tuple(rom) for name, rom in ends.items() if np.ptp(rom) > 2}), truth


def moved(chain: kp.Chain, bound: str, by: float) -> kp.Chain:
    """The chain with one limit moved by some degrees."""
    name, side = bound.split(" ")
    dof = chain.dofs[name]
    lower, upper = dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)
    return chain.with_rom({name: (lower + by, upper) if side == "lower" else (lower, upper + by)})


class Solved(NamedTuple):
    """A solution."""

    angles: np.ndarray  # (T, dof) degree
    cost: float
    held: np.ndarray  # (T, n) -1 at the lower limit, 1 at the upper, 0 between


def again(problem: kp.Problem, motion: xr.Dataset, chain: kp.Chain) -> Solved:
    """Solve to rounding: what the points hardly determine needs that."""
    case = Case(problem, chain, problem.keypoints, problem.terms)
    lower, upper = case.bounds
    limits = newton.Limits(lower, upper, iterations=15, tolerance=1e-14)
    start = coordinates(problem.kernels.chain, motion)
    found = newton.minimise(case.transcription, case.parameters, start, limits)
    turning = [i for i, dof in enumerate(case.chain.free_dofs.values()) if not dof.translates]
    held = (found.x >= upper).astype(int) - (found.x <= lower)
    return Solved(np.degrees(found.x[:, turning]), found.cost, held)


def report(result: xr.Dataset) -> None:
    """Print the worst and the median of every motion."""
    print(f"{'relative difference':22s}limits" + "".join(f"{name:>12s} worst, median" for name in STATED))
    for motion in [*dict.fromkeys(result.motion.values), "all"]:
        own = result if motion == "all" else result.isel(case=result.motion.values == motion)
        cells = "".join(f"{float(own[n].max()):17.1e}{float(own[n].median()):9.1e}" for n in STATED)
        print(f"{motion:22s}{own.sizes['case']:6d}{cells}")
    shorter = result.bound.values[result.step.values < STEPS[0]]
    print(f"limits that needed a shorter step: {', '.join(shorter) or 'none'}")
    print("stated: at most " + ", ".join(f"{limit:g} ({name})" for name, limit in STATED.items()))


def figure(result: xr.Dataset) -> plt.Figure:
    """Relative difference of every limit, with what is stated."""
    drawing = plt.Figure(figsize=(10, 4.5), layout="constrained")
    ax = drawing.subplots()
    place = np.arange(result.sizes["case"])
    for name, limit in STATED.items():
        ax.plot(place, result[name], "o", color=COLOURS[name], ms=4, label=NAMES[name])
        ax.axhline(
            limit, color=COLOURS[name], lw=1, ls="--", label=f"stated: at most $10^{{{np.log10(limit):.0f}}}$"
        )
    for motion in dict.fromkeys(result.motion.values):
        own = place[result.motion.values == motion]
        ax.axvline(own[-1] + 0.5, color="#CCCCCC", lw=0.8)
        ax.annotate(motion, (own.mean(), 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    ax.set_yscale("log")
    ax.set_xlim(-0.5, place[-1] + 0.5)
    ax.set_xticks([])
    ax.set_xlabel("limits that hold an angle, one column each, the strongest of every motion first")
    ax.set_ylabel("relative difference\nfrom solving again [1]")
    drawing.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    plotting.unframed(ax)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/sensitivity_accuracy"))
    main(parser.parse_args().output)
