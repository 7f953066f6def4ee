"""Which ROM limits decide the twist of shoulders and knees? A throw inside a textbook's ranges of motion.

The throw turns the right upper arm outwards by 165 degrees, the textbook allows 90. One solve tells, to first
order, what every limit that holds an angle does to all others; solving again with other limits of the
shoulder shows how far that reaches. Noise and smoothness stay as chosen for the textbook's limits.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import plotting
from kinepose_ocp.case_motions import estimator_points
from kinepose_ocp.synthetic import measure
from kinepose_ocp.walk_throw import walk_throw

# Degrees: Joint Motion: Method of Measuring and Recording, American Academy of Orthopaedic Surgeons, 1965
TEXTBOOK = {
    "neck.flexion": (-45, 45),
    "neck.bending": (-45, 45),
    "neck.rotation": (-60, 60),
    "hip_{}.flexion": (-30, 120),
    "hip_{}.abduction": (-30, 45),
    "hip_{}.rotation": (-45, 45),
    "knee_{}.flexion": (-10, 135),
    "ankle_{}.dorsiflexion": (-50, 20),
    "ankle_{}.inversion": (-15, 35),
    "shoulder_{}.abduction": (-75, 180),
    "shoulder_{}.flexion": (-60, 180),
    "shoulder_{}.rotation": (-90, 70),
    "elbow_{}.flexion": (0, 150),
    "forearm_{}.pronation": (-80, 80),
    "wrist_{}.flexion": (-70, 80),
    "wrist_{}.deviation": (-30, 20),
}
MOVED = "shoulder_right.rotation"  # whose lower limit (outward rotation) is varied
BASE = TEXTBOOK["shoulder_{}.rotation"][0]
LIMITS = (-60, -75, -85, -90, -95, -105, -120, -150, -180)  # degree
SHOWN = (-60, -90, -120, -180)
TWISTS = {
    "shoulders": ("shoulder_right.rotation", "shoulder_left.rotation"),
    "knees": ("knee_right.rotation", "knee_left.rotation"),
}
POINTS = ("heel", "toe_big", "toe_small", "hand_index", "hand_pinky")  # beside the 17 of pose estimators
ERRORS = {"noise": 0.005, "drift": 0.010}  # m
RESOLVED, PREDICTED = "#222222", "#EE7733"
SHADES = ("#BBBBBB", PREDICTED, "#33BBEE", "#0077BB")


def main(folder: Path, frames: slice = slice(None), limits=LIMITS, errors=ERRORS) -> xr.Dataset:
    """Solve the throw once and again with every limit; write the figure and the numbers to ``folder``."""
    chain = textbook_chain()
    truth = walk_throw(chain).isel(time=frames)
    points = [*estimator_points(chain), *(f"{name}_{side}" for name in POINTS for side in ("right", "left"))]
    problem = kp.tuned_problem(chain, measure(truth, points, seed=17, **errors))
    motion = problem.solve()
    owed = problem.sensitivities(motion)

    upper = TEXTBOOK["shoulder_{}.rotation"][1]
    cases = {limit: {"chain": problem.chain.with_rom({MOVED: (limit, upper)})} for limit in limits}
    swept = kp.sweep(problem, cases, dim="limit", kept=("joint_angle", "cost", "converged"))

    result = swept.assign(
        angle=motion.joint_angle.assign_attrs(long_name="joint angle with the textbook's limits"),
        base_cost=motion.cost.sum().assign_attrs(units="1", long_name="cost with the textbook's limits"),
        truth=truth.joint_angle.reindex(dof=motion.dof).assign_attrs(long_name="true joint angle"),
        **{name: owed[name] for name in ("angle_per_bound", "cost_per_bound")},
    )
    result.limit.attrs = {"units": "degree", "long_name": f"lower limit of {MOVED}"}
    result.attrs["title"] = __doc__.splitlines()[0]
    kp.write(result, folder / "rom_sensitivity.nc")
    plotting.save_figure(figure(result), folder / "rom_sensitivity.png")
    report(result)
    print(f"written: {folder}/rom_sensitivity.nc, rom_sensitivity.png")
    return result


def textbook_chain() -> kp.Chain:
    """The whole body with the textbook's ROM and knees that may twist."""
    sides = {name.format(side): rom for name, rom in TEXTBOOK.items() for side in ("right", "left")}
    return kp.load_chain("fullbody").with_rom(sides).with_unlocked(*TWISTS["knees"])


def reach(result: xr.Dataset, dofs) -> xr.DataArray:
    """Largest change of one of these angles, at any time, by limit (bound) [degree a degree]; ranked."""
    change = abs(result.angle_per_bound.sel(dof=list(dofs))).max(("time", "dof"))
    return change.sortby(change, ascending=False)


def followers(result: xr.Dataset, count: int = 3) -> list[tuple[str, float]]:
    """Angles that the moved limit changes most, but its own, and the time [s] at which it does."""
    change = abs(result.angle_per_bound.sel(bound=f"{MOVED} lower")).drop_sel(dof=MOVED)
    order = change.max("time").sortby(change.max("time"), ascending=False).dof.values[:count]
    return [(str(dof), float(change.sel(dof=dof).idxmax())) for dof in order]


def report(result: xr.Dataset) -> None:
    """Print the ranking, and predicted beside solved costs."""
    for joints, dofs in TWISTS.items():
        print(f"largest change of the twist of {joints} [degree] a degree of limit; cost a degree")
        for bound, change in zip(reach(result, dofs).bound.values, reach(result, dofs).values, strict=True):
            price = float(result.cost_per_bound.sel(bound=bound))
            print(f"  {spoken(bound):42s}{change:8.3f}{price:10.3f}")
    print(f"{spoken(MOVED + ' lower')} [degree]: cost when solved again, and predicted")
    for limit, cost in zip(result.limit.values, result.cost.sum("term").values, strict=True):
        print(f"  {limit:6.0f}{cost:12.2f}{float(predicted_cost(result, limit)):12.2f}")


def predicted_cost(result: xr.Dataset, limit):
    """Cost to first order."""
    return float(result.base_cost) + float(result.cost_per_bound.sel(bound=f"{MOVED} lower")) * (limit - BASE)


def spoken(name: str) -> str:
    """``knee_left.rotation lower`` in words."""
    angle, _, side = name.partition(" ")
    joint, _, dof = angle.partition(".")
    parts = joint.split("_")
    return " ".join([*parts[1:], parts[0], dof]) + (f", {side} limit" if side else "")


def figure(result: xr.Dataset) -> plt.Figure:
    """Angles and cost as the limit moves, and which limits matter."""
    drawing = plt.Figure(figsize=(11, 11), layout="constrained")
    above, middle, below = drawing.subfigures(3, 1)
    draw_angle(above.subplots(), result)
    left, right = middle.subplots(1, 2)
    draw_cost(left, result)
    draw_followers(right, result)
    for ax, (joints, dofs) in zip(below.subplots(1, 2), TWISTS.items(), strict=True):
        draw_ranking(ax, result, joints, dofs)
    plotting.unframed(*(ax for part in (above, middle, below) for ax in part.axes))
    return drawing


def draw_angle(ax, result: xr.Dataset) -> None:
    """The shoulder's rotation around the throw with some limits."""
    shown = [limit for limit in SHOWN if limit in result.limit.values]
    for limit, shade in zip(shown, SHADES, strict=False):
        label = f"limit {limit}°" + (" (textbook)" if limit == BASE else "")
        ax.plot(result.time, result.joint_angle.sel(dof=MOVED, limit=limit), color=shade, lw=2, label=label)
    truth = result.truth.sel(dof=MOVED)
    ax.plot(result.time, truth, color="#222222", ls="--", lw=1.2, label="truth")
    release = float(truth.idxmin("time"))
    ax.set_xlim(max(release - 0.6, float(result.time[0])), min(release + 0.6, float(result.time[-1])))
    ax.set_title("What the limit does to the angle it holds: the throw", fontsize=10)
    ax.set_xlabel("time [s]")
    ax.set_ylabel(f"{spoken(MOVED)} [°]\n(− outward, + inward)")
    ax.legend(frameon=False, fontsize=9, loc="lower left")


def draw_cost(ax, result: xr.Dataset) -> None:
    """Cost against the limit."""
    limits = result.limit.values
    change = result.cost.sum("term", skipna=False).values - float(result.base_cost)
    line = predicted_cost(result, limits) - float(result.base_cost)
    ax.plot(limits, line, color=PREDICTED, label="predicted from one solve (slope: cost_per_bound)")
    ax.plot(limits, change, "o", color=RESOLVED, ms=5, label="solved again")
    margin = 0.15 * (np.nanmax(change) - np.nanmin(change))
    ax.set_ylim(np.nanmin(change) - margin, np.nanmax(change) + 2 * margin)
    ax.set_title("What a tight limit costs", fontsize=10)
    ax.set_ylabel("cost beyond that of the textbook's limit [1]")
    label_limits(ax, result)
    ax.legend(frameon=False, fontsize=8, loc="upper right")


def draw_followers(ax, result: xr.Dataset) -> None:
    """The angles that give way most, against the limit."""
    limits, solved = result.limit.values, []
    for (dof, time), colour in zip(followers(result), ("#0077BB", "#009988", "#CC3311"), strict=True):
        one = result.sel(dof=dof, time=time)
        slope = float(one.angle_per_bound.sel(bound=f"{MOVED} lower"))
        solved.append(one.joint_angle.values - float(one.angle))
        ax.plot(limits, slope * (limits - BASE), color=colour, lw=1)
        ax.plot(limits, solved[-1], "o", color=colour, ms=5, label=f"{spoken(dof)} at {time:.2f} s")
    margin = 0.15 * (np.nanmax(solved) - np.nanmin(solved))
    ax.set_ylim(np.nanmin(solved) - margin, np.nanmax(solved) + 3 * margin)
    ax.set_title("Angles that give way instead (lines: predicted, dots: solved again)", fontsize=10)
    ax.set_ylabel("change of the angle [°]")
    label_limits(ax, result)
    ax.legend(frameon=False, fontsize=8, loc="upper left")


def label_limits(ax, result: xr.Dataset) -> None:
    """Axis of the moved limit, tight to wide, with the textbook's marked."""
    ax.axvline(BASE, color="#999999", lw=0.8, ls=":")
    ax.annotate(" textbook", (BASE, 0.02), xycoords=("data", "axes fraction"), fontsize=8, color="#666666")
    ax.set_xlabel("limit of the right shoulder's outward rotation [°] (tight to wide)")
    ax.set_xlim(max(result.limit.values) + 4, min(result.limit.values) - 4)


def draw_ranking(ax, result: xr.Dataset, joints: str, dofs, count: int = 6) -> None:
    """Limits by what a degree of theirs changes."""
    change = reach(result, dofs)[:count]
    place = np.arange(change.size)
    ax.barh(place, change, color="#0077BB")
    for y, value in zip(place, change.values, strict=True):
        ax.text(value, y, f" {value:.2f}" if value >= 0.01 else " below 0.01", va="center", fontsize=8)
    ax.set_yticks(place, [spoken(str(bound)) for bound in change.bound.values], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.15 * max(float(change.max()), 0.1))
    ax.set_title(f"Limits that change the twist of the {joints}", fontsize=10)
    ax.set_xlabel("largest change by one degree of limit [°]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rom_sensitivity"))
    main(parser.parse_args().output)
