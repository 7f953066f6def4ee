"""Which limits of the ranges of motion matter? Sobol' indices of what knee, thigh and upper arm owe to them.

Limits differ between people, and between the studies that measured them. The bundled throw is solved with
limits drawn from such ranges (Saltelli's sample); each index is the part of an angle's change, over all these
solutions, that one limit explains: first alone, total with all others that it acts through.
"""

import argparse
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import designs, plotting
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.workers import executor

SECONDS = (2.4, 3.4)  # the throw
LIMITS = {  # factor: (range [degree], its name in the figure)
    "shoulder_right.rotation lower": ((-180, -120), "upper arm: outward rotation limit"),
    "shoulder_right.rotation upper": ((10, 95), "upper arm: inward rotation limit"),
    "elbow_right.flexion lower": ((-10, 15), "elbow: extension limit"),
    "elbow_right.flexion upper": ((80, 160), "elbow: flexion limit"),
    "clavicle_right.protraction upper": ((15, 30), "shoulder girdle: protraction limit"),
    "hip_right.rotation lower": ((-60, -15), "thigh: outward rotation limit"),
    "knee_right.flexion upper": ((80, 160), "knee: flexion limit"),
}
ANGLES = {
    "shoulder_right.rotation": "twist of the upper arm",
    "hip_right.rotation": "twist of the thigh",
    "knee_right.flexion": "knee flexion",
}
COLOURS = {"first": "#77AADD", "total": "#0077BB"}


def main(
    folder: Path, size: int = 64, workers: int = 2, local: bool = False, seconds=SECONDS, seed: int = 1
) -> xr.Dataset:
    """Solve the throw with all limits of the design; write figure, indices and changes to ``folder``."""
    chain = kp.load_chain("fullbody")
    points = kp.read_keypoints(models_dir() / "examples" / "walk_throw.csv", chain=chain)
    problem = kp.tuned_problem(chain, points.sel(time=slice(*seconds)))
    design = designs.sobol({name: limits for name, (limits, _) in LIMITS.items()}, size, seed)
    with executor(workers) if local else cluster(workers) as pool:
        swept = kp.sweep(problem, design.cases(problem), kept=["joint_angle", "converged"], executor=pool)
    change = rms_change(swept, problem.solve())
    result = (
        kp.analyse(design, change)
        .assign(change=change)
        .assign_attrs(
            title=__doc__.splitlines()[0], failed=int((swept.error != "").sum()), size=size, seed=seed
        )
    )
    kp.write(design.labelled(result.assign_attrs(chain_yaml=swept.chain_yaml)), folder / "indices.nc")
    plotting.save_figure(figure(result), folder / "indices.png")
    report(result)
    print(f"written: {folder}/indices.nc, indices.png")
    return result


@contextmanager
def cluster(workers: int):
    """Yield a client of a Dask cluster on this machine."""
    from distributed import Client, LocalCluster

    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as made, Client(made) as client:
        yield client


def rms_change(swept: xr.Dataset, base: xr.Dataset) -> xr.DataArray:
    """Root mean square over time of what the limits change, (case, dof) [degree]."""
    difference = (swept.joint_angle - base.joint_angle).sel(dof=list(ANGLES))
    change = np.sqrt((difference**2).mean("time", skipna=False))
    attributes = {"units": "degree", "long_name": "root mean square change of the angle over time"}
    return change.assign_attrs(attributes)


def report(result: xr.Dataset) -> None:
    """Print total indices."""
    failed, count = result.attrs["failed"], result.sizes["case"]
    print(f"{count} solutions, {failed} without one. Total index of each limit (and first):")
    print(f"{'':36s}" + "".join(f"{name:>26s}" for name in ANGLES.values()))
    for factor, (_, label) in LIMITS.items():
        row = result.sel(factor=factor)
        cells = [f"{float(row.total.sel(dof=d)):.2f} ({float(row['first'].sel(dof=d)):.2f})" for d in ANGLES]
        print(f"{label:36s}" + "".join(f"{cell:>26s}" for cell in cells))
    mean = result.change.mean("case")
    print(f"{'mean change [degree]':36s}" + "".join(f"{float(mean.sel(dof=d)):26.2f}" for d in ANGLES))


def figure(result: xr.Dataset) -> plt.Figure:
    """First and total indices of all limits, one panel an angle."""
    drawing = plt.Figure(figsize=(10, 4.2), layout="constrained")
    place = np.arange(len(LIMITS))
    panels = drawing.subplots(1, len(ANGLES), sharey=True, sharex=True)
    for ax, (dof, title) in zip(panels, ANGLES.items(), strict=True):
        one = result.sel(dof=dof, factor=list(LIMITS))
        for shift, (name, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
            label = {"first": "alone", "total": "with the others"}[name]
            error = {"xerr": one[f"{name}_confidence"], "error_kw": {"lw": 0.8, "ecolor": "#444444"}}
            ax.barh(place + shift, one[name], 0.36, color=colour, label=label, **error)
        ax.set_title(f"{title}\n(limits change it by {float(one.change.mean()):.1f}° on average)", fontsize=9)
        ax.set_xlabel("part of the variation explained")
        ax.axvline(0, color="#222222", lw=0.8)
        plotting.unframed(ax)
    labels = [f"{label}\n(varied from {low}° to {high}°)" for (low, high), label in LIMITS.values()]
    panels[0].set_yticks(place, labels, fontsize=8)
    panels[0].invert_yaxis()
    panels[0].set_xlim(-0.1, 1.25)
    handles, names = panels[0].get_legend_handles_labels()
    drawing.legend(
        handles,
        [f"this limit {name}" for name in names],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=8,
        title="lines: 95 % confidence",
        title_fontsize=8,
    )
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/global_rom_sensitivity"))
    parser.add_argument("--size", type=int, default=64, help="points of the design, a power of 2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--local", action="store_true", help="plain processes instead of a Dask cluster")
    given = parser.parse_args()
    main(given.output, given.size, given.workers, given.local)
