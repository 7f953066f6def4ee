"""What does locking a joint do to the others? A walk and throw solved with several masks of DOFs.

Truth is the example's walk that ends in a throw, measured with 5 mm of noise and 10 mm of slow errors at the
17 points that most pose estimators give, or with feet and hands as well. Every mask is solved in default
settings: a locked degree of freedom (DOF) stays at rest, an unlocked one is free, though the true motion does
not use it.
"""

import argparse
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.case_motions import estimator_points
from kinepose_ocp.synthetic import measure
from kinepose_ocp.walk_throw import walk_throw
from kinepose_ocp.workers import mapped

SHIPPED = "as shipped"
LOCKED = {  # DOF of the joints of these names, on both sides
    "forearm pronation locked": ("forearm.pronation",),
    "hip rotation locked": ("hip.rotation",),
    "clavicles locked": ("clavicle.protraction", "clavicle.elevation"),
    "lower back locked": ("lumbar.flexion", "lumbar.bending", "lumbar.rotation"),
}
UNLOCKED = {
    "knee rotation unlocked": ("knee.rotation",),
    "knee rotation and varus unlocked": ("knee.rotation", "knee.varus"),
}
MASKS = (SHIPPED, *LOCKED, *UNLOCKED)
POINTS = {
    "with feet and hands": ("heel", "toe_big", "toe_small", "hand_index", "hand_pinky"),
    "17 points": (),
}
SEGMENTS = {  # joint above each
    "pelvis": "pelvis",
    "trunk": "thorax",
    "thighs": "hip",
    "shanks": "knee",
    "feet": "ankle",
    "shoulder\ngirdle": "clavicle",
    "upper\narms": "shoulder",
    "forearms": "forearm",
    "hands": "wrist",
}
ERRORS = {"noise": 0.005, "drift": 0.010}  # m
SEEDS = (17, 18)


def main(
    folder: Path,
    frames: slice = slice(None),
    masks=MASKS,
    points=tuple(POINTS),
    seeds=SEEDS,
    workers: int = 2,
) -> xr.Dataset:
    """Solve with every mask; write the figure and the numbers to ``folder``."""
    jobs = [(frames, *job) for job in product(points, masks, seeds)]
    found = mapped(judged, jobs, workers)
    table = np.reshape(found, (len(points), len(masks), len(seeds), 2, len(SEGMENTS) + 1)).mean(axis=2)
    dims, segments = ("points", "mask", "segment"), [name.replace("\n", " ") for name in SEGMENTS]
    attributes = {"units": "degree", "long_name": "RMS angle between true and found orientation"}
    told = {"units": "degree", "long_name": "RMS of that angle as the answer predicts it"}
    result = xr.Dataset(
        {
            "error": (dims, table[:, :, 0, :-1], attributes),
            "predicted": (dims, table[:, :, 1, :-1], told),
            "misfit": (
                dims[:2],
                table[:, :, 0, -1],
                {"units": "mm", "long_name": "RMS distance of points to the model"},
            ),
            "cost": (dims[:2], table[:, :, 1, -1], {"units": "1", "long_name": "cost at the solution"}),
        },
        {"points": list(points), "mask": list(masks), "segment": segments},
        {"title": __doc__.splitlines()[0], "seeds": ", ".join(map(str, seeds))},
    )
    kp.write(result, folder / "dof_mask.nc")
    plotting.save_figure(figure(result), folder / "dof_mask.png")
    report(result)
    print(f"written: {folder}/dof_mask.nc, dof_mask.png")
    return result


def masked(mask: str) -> kp.Chain:
    """The whole body with this mask."""
    chain = kp.load_chain("fullbody")
    named = [
        name for name in chain.dofs if sideless(name) in (*LOCKED.get(mask, ()), *UNLOCKED.get(mask, ()))
    ]
    if mask in UNLOCKED:
        return chain.with_unlocked(*named)
    return chain.with_locked({name: 0.0 for name in named})


def sideless(name: str) -> str:
    """``knee_left.rotation`` without its side."""
    return name.replace("_left", "").replace("_right", "")


def judged(frames: slice, points: str, mask: str, seed: int) -> np.ndarray:
    """True and predicted error [degree] of every segment, followed by misfit [mm] and cost [1]."""
    truth = walk_throw(kp.load_chain("fullbody")).isel(time=frames)
    chain = masked(mask)
    more = [f"{name}_{side}" for name in POINTS[points] for side in ("right", "left")]
    motion = kp.solve_motion(
        chain, measure(truth, [*estimator_points(chain), *more], seed=seed, **ERRORS), lengths="model"
    )
    angle = metrics.angular_error(motion, truth, "global")
    variance = metrics.predicted_error(motion) ** 2
    ends = metrics.keypoint_error(motion) * 1000, float(motion.cost.sum())
    rows = []
    for squared, last in zip((angle**2, variance), ends, strict=True):
        of_joint = {
            joint: [name for name in angle.joint.values if sideless(str(name)) == joint]
            for joint in SEGMENTS.values()
        }
        rows.append([*(float(np.sqrt(squared.sel(joint=names).mean())) for names in of_joint.values()), last])
    return np.array(rows)


def report(result: xr.Dataset) -> None:
    """Print errors, deviations, misfit and cost."""
    print(f"{'RMS error (predicted) [degree]':55s}" + "".join(f"{n:>16s}" for n in result.segment.values))
    for points, mask in product(result.points.values, result.mask.values):
        one = result.sel(points=points, mask=mask)
        cells = [f"{float(e):7.1f} ({float(p):4.1f})" for e, p in zip(one.error, one.predicted, strict=True)]
        misfit = f"   misfit {float(one.misfit):.1f} mm, cost {float(one.cost):.0f}"
        print(f"{points:21s}{mask:34s}" + "".join(f"{cell:>16s}" for cell in cells) + misfit)


def figure(result: xr.Dataset) -> plt.Figure:
    """Error of every segment (column) with every mask (row), for both sets of points."""
    rows = 0.42 * result.sizes["mask"] + 1.5
    drawing = plt.Figure(figsize=(12, rows * result.sizes["points"] + 0.8), layout="constrained")
    axes = drawing.subplots(
        result.sizes["points"], 2, squeeze=False, width_ratios=(5, 1.3), sharey=True, sharex="col"
    )
    for (table, bars), points in zip(axes, result.points.values, strict=True):
        draw_table(table, result.sel(points=points), f"Error of each segment's orientation [°]: {points}")
        place = np.arange(result.sizes["mask"])
        misfit = result.misfit.sel(points=points)
        bars.barh(place, misfit, color="#0077BB", height=0.6)
        for y, value in zip(place, misfit.values, strict=True):
            bars.text(value, y, f" {value:.1f}", va="center", fontsize=8)
        bars.set_title("Misfit to the points [mm]", fontsize=10)
        bars.set_xlim(0, 1.2 * float(result.misfit.max()))
        bars.tick_params(left=False)
        plotting.unframed(bars)
    drawing.supxlabel(
        f"RMS error (in brackets: what the answer predicts for it). Colour: change from '{SHIPPED}', orange "
        "worse, violet better.\nThe prediction takes what is locked, and what no point shows, as known: a "
        "wrong lock, or a hidden forearm, it cannot tell.",
        fontsize=9,
    )
    return drawing


def draw_table(ax, one: xr.Dataset, title: str) -> None:
    """Errors as numbers, coloured by their change from the chain as shipped."""
    base = one.error.sel(mask=SHIPPED) if SHIPPED in one.mask else one.error.isel(mask=0)
    change = np.log2(one.error / base).transpose("mask", "segment")
    ax.imshow(change, cmap="PuOr_r", vmin=-2, vmax=2, aspect="auto")
    for (row, column), value in np.ndenumerate(one.error.transpose("mask", "segment").values):
        told = float(one.predicted.transpose("mask", "segment")[row, column])
        colour = "white" if abs(float(change[row, column])) > 1.5 else "#222222"
        ax.text(column, row, f"{value:.1f} ({told:.1f})", ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(range(len(SEGMENTS)), list(SEGMENTS), fontsize=8)
    ax.set_yticks(range(one.sizes["mask"]), one.mask.values, fontsize=9)
    ax.tick_params(length=0, labelbottom=True)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/dof_mask"))
    main(parser.parse_args().output)
