"""What a straight elbow or knee hides: the error of the segment above it, over time and against flexion.

Motions whose limbs are held straight again and again (chain of the KinePose paper, 17 points, 5 mm of
white noise), solved as a whole and frame by frame. Above: one upper arm over time, straight phases shaded,
beside two posterior standard deviations of its rotation. Below: errors of all upper arms and thighs by how
far elbow or knee is bent, beside the predicted deviation.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.case_motions import randomly
from kinepose_ocp.synthetic import limb_hinges

WAYS = {"whole motion": "ipopt", "frame by frame": "frame:ipopt"}
COLOURS = {"whole motion": "#0077BB", "frame by frame": "#EE7733"}
EDGES = [0, 5, 10, 20, 40, 80, 180]  # degree
SHOWN = "elbow_right"
NOISE = 0.005  # m
SEEDS = range(2000, 2004)


def main(folder: Path, frames: int = 240, seeds=SEEDS) -> xr.Dataset:
    """Solve one motion a seed in both ways; write the figure and the numbers to ``folder``."""
    cases = [compare(frames, seed) for seed in seeds]
    result = xr.concat(cases, xr.Variable("seed", list(seeds), {"long_name": "seed of the motion"}))
    result.attrs["title"] = __doc__.splitlines()[0]
    kp.write(result, folder / "straight_limb.nc")
    plotting.save_figure(figure(result), folder / "straight_limb.png")
    report(result)
    print(f"written: {folder}/straight_limb.nc, straight_limb.png")
    return result


def compare(frames: int, seed: int) -> xr.Dataset:
    """Errors of the joints above all limb hinges, (way, hinge, time), with the hinges' flexion."""
    chain, keypoints, truth = randomly("imvip22", frames, seed, straight=True, noise=NOISE)
    hinges = limb_hinges(chain)
    parents = {joint.name: joint.parent for joint in chain.joints}
    above = [parents[hinge.joint] for hinge in hinges]
    errors, deviation = [], None
    for solver in WAYS.values():
        motion = kp.solve_motion(chain, keypoints, solver=solver)
        error = metrics.angular_error(motion, truth, "global")
        errors.append(error.sel(joint=above).transpose("joint", "time").values)
        if "orientation_covariance" in motion:
            deviation = metrics.predicted_error(motion).sel(joint=above).transpose("joint", "time").values
    bend = [
        np.abs(truth.joint_angle.sel(dof=hinge.dof).values - hinge.straight).clip(0, 180) for hinge in hinges
    ]
    return xr.Dataset(
        {
            "error": (
                ("way", "hinge", "time"),
                np.stack(errors),
                {"units": "degree", "long_name": "angle between true and found orientation of the segment"},
            ),
            "deviation": (
                ("hinge", "time"),
                deviation,
                {"units": "degree", "long_name": "predicted root mean square of that angle, whole motion"},
            ),
            "flexion": (
                ("hinge", "time"),
                np.stack(bend),
                {"units": "degree", "long_name": "flexion of the hinge below, from straight"},
            ),
        },
        {
            "way": list(WAYS),
            "hinge": [hinge.joint for hinge in hinges],
            "time": ("time", truth.time.values, {"units": "s"}),
        },
    )


def by_flexion(result: xr.Dataset) -> xr.Dataset:
    """Root mean square of error and predicted deviation by flexion (bin)."""
    flexion = result.flexion.values.ravel()
    place = np.digitize(flexion, EDGES[1:-1])
    table = {way: result.error.sel(way=way).transpose(*result.flexion.dims).values for way in WAYS}
    table["predicted, whole motion"] = result.deviation.transpose(*result.flexion.dims).values
    names = [f"{low}-{high}" for low, high in pairwise(EDGES)]
    return xr.Dataset(
        {
            name: (
                "bin",
                [
                    np.sqrt(np.mean(values.ravel()[place == i] ** 2)) if (place == i).any() else np.nan
                    for i in range(len(names))
                ],
            )
            for name, values in table.items()
        },
        {"bin": names},
    )


def report(result: xr.Dataset) -> None:
    """Print root mean square errors by flexion."""
    table = by_flexion(result)
    print("root mean square error of the segment above an elbow or knee [degree], by its flexion [degree]")
    print(f"{'':24s}" + "".join(f"{name:>8s}" for name in table.bin.values))
    for name in table:
        print(f"{name:24s}" + "".join(f"{value:8.1f}" for value in table[name].values))


def figure(result: xr.Dataset) -> plt.Figure:
    """Error of one limb over time, and of all by flexion."""
    drawing = plt.Figure(figsize=(8, 6), layout="constrained")
    over_time, against = drawing.subplots(2, 1)
    one = result.isel(seed=0).sel(hinge=SHOWN)
    straight = one.flexion.values < 5
    shade = {"transform": over_time.get_xaxis_transform(), "color": "#DDDDDD", "lw": 0}
    over_time.fill_between(one.time, 0, 1, where=straight, label="elbow within 5° of straight", **shade)
    band, predicted = 2 * one.deviation.values, "predicted: two standard deviations"
    over_time.fill_between(one.time, 0, band, color="#0077BB", alpha=0.2, lw=0, label=predicted)
    for way, width in {"frame by frame": 0.6, "whole motion": 1.8}.items():
        label = way if way == "whole motion" else f"{way} (up to {float(one.error.sel(way=way).max()):.0f}°)"
        over_time.plot(one.time, one.error.sel(way=way), color=COLOURS[way], lw=width, label=label)
    over_time.set_xlabel("time [s]")
    over_time.set_ylabel("error of the right upper arm [°]")
    over_time.set_xlim(float(one.time[0]), float(one.time[-1]))
    top = np.nanmax(np.append(one.error.sel(way="whole motion").values, band))
    over_time.set_ylim(0, min(1.15 * top, 180))
    over_time.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=8, ncols=2)
    table = by_flexion(result)
    marks = {**{way: ("o-", COLOURS[way]) for way in WAYS}, "predicted, whole motion": ("s--", "#004477")}
    for name, (mark, colour) in marks.items():
        against.plot(table.bin.values, table[name].values, mark, color=colour, label=name)
    against.set_xlabel("flexion of elbow or knee [°]")
    against.set_ylabel("RMS error of the segment above [°]")
    against.set_ylim(0)
    against.legend(frameon=False, fontsize=8)
    plotting.unframed(over_time, against)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/straight_limb"))
    main(parser.parse_args().output)
