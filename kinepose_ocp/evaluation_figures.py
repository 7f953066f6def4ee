"""Figures of an evaluation: Dataset of :func:`kinepose_ocp.evaluate.evaluate` -> Figure."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinepose_ocp.plotting import unframed

REACHED, MISSED, LIMIT, PALE = "#0077BB", "#CC3311", "#222222", "#BBBBBB"
COLOURS = ("#0077BB", "#EE7733", "#009988", "#CC3311")
KINDS = {
    "mpjas_global": "world",
    "mpjas_local": "own rotation",
    "mpjas_global_lower_limbs": "world, lower limbs",
    "mpjas_local_lower_limbs": "own rotation, lower limbs",
}
BINS = {
    "above_hinge_below_10": "below 10",
    "above_hinge_10_to_20": "10 to 20",
    "above_hinge_over_20": "above 20",
}


def figures(result: xr.Dataset) -> dict[str, Figure]:
    """All figures that the evaluated cases allow, by the name of their file."""
    found = {"mpjas": plot_mpjas(result)}
    if result["value"].sel(metric=list(BINS)).notnull().any():
        found["flexion"] = plot_flexion(result)
    for family in dict.fromkeys(str(name) for name in result["family"].values if name):
        if (result["family"] == family).sum() > 1:
            found[family.partition(" [")[0].replace(" ", "_")] = plot_family(result, family)
    return found


def plot_mpjas(result: xr.Dataset) -> Figure:
    """Draw the mean angular error of every case, with the limits it must not exceed."""
    count = result.sizes["case"]
    figure = Figure(figsize=(9, 1.4 + 0.24 * count), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(count)
    for ax, metric in ((left, "mpjas_global"), (right, "mpjas_local")):
        value, limit = (result[name].sel(metric=metric).values for name in ("value", "limit"))
        colour = np.where(np.isnan(limit), PALE, np.where(value > limit, MISSED, REACHED))
        ax.barh(place, value, color=colour, height=0.7)
        ax.plot(limit, place, "|", color=LIMIT, ms=11, mew=2)
        shown = np.nanmax(np.where(result["limit"].notnull().any("metric"), limit, value))
        shown = max(shown, 1.0) * 1.15 if np.isfinite(shown) else 30.0
        for y, x, end in zip(place, value, np.fmax(value, limit), strict=True):
            outside = end > 0.95 * shown
            at, side = (shown, "right") if outside else (end, "left")
            ax.text(at, y, f"  {x:.1f} ", va="center", ha=side, fontsize=7)
        ax.set_xlim(0, shown)
        ax.set_xlabel(f"mean angular error, {KINDS[metric]} [degree]")
        _plain(ax)
    left.set_yticks(place, [str(name) for name in result["case"].values], fontsize=8)
    left.set_ylim(count - 0.5, -0.5)
    marks = [
        left.barh(0, 0, color=REACHED, label="reached"),
        left.barh(0, 0, color=MISSED, label="reached, above the limit"),
        left.barh(0, 0, color=PALE, label="reached, no limit stated"),
        left.plot([], [], "|", color=LIMIT, ms=11, mew=2, label="limit")[0],
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def plot_flexion(result: xr.Dataset) -> Figure:
    """Draw the error of shoulders and hips against how far elbows and knees are bent.

    Only of cases with a limit on angular errors: others, such as swapped sides, have no right answer.
    """
    limited = result["limit"].sel(metric="mpjas_global").notnull().values
    result = result.isel(case=np.flatnonzero(limited)) if limited.any() else result
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    ax = figure.subplots()
    value = result["value"].sel(metric=list(BINS)).values
    names = [str(name) for name in result["case"].values]
    colours = iter(COLOURS)
    for name, errors in zip(names, value, strict=True):
        if np.isfinite(errors).sum() < 2:
            continue
        straight = name.startswith(("straight", "throw"))
        colour = next(colours, LIMIT) if straight else PALE
        label = name if straight else "other cases"
        known = label not in ax.get_legend_handles_labels()[1]
        ax.plot(
            list(BINS.values()),
            errors,
            "o-",
            color=colour,
            zorder=2 + straight,
            label=label if known else None,
        )
    ax.set_xlabel("flexion of elbow or knee [degree]")
    ax.set_ylabel("error of the joint above [degree]")
    ax.set_ylim(0)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    _plain(ax)
    return figure


def plot_family(result: xr.Dataset, family: str) -> Figure:
    """Draw the mean angular errors of cases that differ in one number."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    ax = figure.subplots()
    members = result.isel(case=np.flatnonzero(result["family"].values == family)).sortby("level")
    level = members["level"].values
    for (metric, label), colour in zip(KINDS.items(), COLOURS, strict=True):
        ax.plot(level, members["value"].sel(metric=metric), "o-", color=colour, label=label)
    if level.min() > 0 and level.max() / level.min() > 20:
        ax.set_xscale("log")
        ax.set_xticks(level, [f"{value:g}" for value in level], minor=False)
        ax.minorticks_off()
    ax.set_xlabel(family)
    ax.set_ylabel("mean angular error [degree]")
    ax.set_ylim(0)
    ax.legend(fontsize=8, frameon=False)
    _plain(ax)
    return figure


def _plain(ax: Axes) -> None:
    unframed(ax)
    ax.grid(axis="both", color="#EEEEEE", lw=0.7)
    ax.set_axisbelow(True)
