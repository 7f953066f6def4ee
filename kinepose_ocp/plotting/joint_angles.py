"""Joint angles over time, with their ranges of motion and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.plotting.content import chain_of, side_of, variable
from kinepose_ocp.plotting.style import SIDE_COLOURS, unframed

CURVE, ROM, LIMIT, TRUTH = "#222222", "#009988", "#EE3377", "#0077BB"


def plot_joint_angles(
    motion: xr.Dataset,
    dofs: Sequence[str] | None = None,
    truth: xr.Dataset | None = None,
    figure: Figure | None = None,
) -> tuple[Figure, dict[str, Axes]]:
    """Draw every joint angle over time with its range of motion (ROM), a row for each joint.

    Right and left joints stand side by side. Marked frames lie at a limit of the ROM: there the limit,
    not the measurement, decides the angle. The y axis holds the curve and those limits that are near it;
    a panel that the band fills is one far from both limits.

    Parameters
    ----------
    motion
        A motion with ``joint_angle (time, dof)`` [degree; m for a translation]; ``rom_lower``,
        ``rom_upper``, ``bound_state`` and ``joint_angle_std`` are drawn where they exist.
    dofs
        Full names ``joint.dof`` to draw; by default all that are not locked.
    truth
        A motion with the same DOF names, drawn dashed over its own time.
    figure
        Where to draw (with constrained layout); a new one by default, its size scaled by the rows.

    Returns
    -------
    tuple
        The figure and ``{"joint.dof": Axes}``.

    Raises
    ------
    DataError
        When a DOF or a variable is missing, or there is nothing to draw.
    """
    chain = chain_of(motion)
    known = [str(name) for name in variable(motion, "joint_angle", ("time", "dof"))["dof"].values]
    if dofs is None:
        dofs = [name for name in known if name not in chain.dofs or not chain.dofs[name].locked]
    for name in dofs:
        if name not in known:
            raise DataError(f"motion has no degree of freedom '{name}'; {possible(name, known)}")
    if not dofs:
        raise DataError("motion has no joint angle to draw: every degree of freedom is locked")
    cells = _cells(dofs)
    rows, columns = np.max(list(cells.values()), axis=0) + 1
    if figure is None:
        width = 2.3 if columns > 3 else 3.0
        figure = Figure(figsize=(max(width * columns, 5.0), 1.5 * rows + 1.0), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    axes: dict[str, Axes] = {}
    for name, (row, column) in cells.items():
        ax = axes[name] = figure.add_subplot(grid[row, column], sharex=next(iter(axes.values()), None))
        translates = name in chain.dofs and chain.dofs[name].translates
        _draw_angle(ax, motion.sel(dof=name), _of_dof(truth, name), 0.1 if translates else 10.0)
        joint = name.rpartition(".")[0]
        ax.set_title(name, fontsize=9, color=SIDE_COLOURS[side_of(joint)[1]])
        beside = [other for other, cell in cells.items() if cell == (row, column - 1)]
        if not beside or beside[0].rpartition(".")[0] != joint:
            ax.set_ylabel("position [m]" if translates else "angle [°]", fontsize=8)
        lowest = row == max(cell[0] for cell in cells.values() if cell[1] == column)
        ax.tick_params(labelsize=7, labelbottom=lowest)
        ax.set_xlabel("time [s]" if lowest else "", fontsize=8)
    handles = {line.get_label(): line for ax in axes.values() for line in ax.get_legend_handles_labels()[0]}
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": min(5, int(columns) + 1)}
    figure.legend(handles=list(handles.values()), fontsize=9, frameon=False, **place)
    return figure, axes


def _cells(dofs: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return row and column of every DOF: a row for each joint, a right and its left one in the same."""
    joints: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for name in dofs:
        base, side = side_of(name.rpartition(".")[0])
        joints.setdefault((base, side == "middle"), {}).setdefault(side, []).append(name)
    width = min(3, max(len(names) for sides in joints.values() for names in sides.values()))
    paired = any(len(sides) > 1 for sides in joints.values())
    cells: dict[str, tuple[int, int]] = {}
    row = 0
    for sides in joints.values():
        for side, names in sides.items():
            start = width if paired and side == "left" else 0
            for i, name in enumerate(names):
                cells[name] = (row + i // width, start + i % width)
        row = max(cell[0] for cell in cells.values()) + 1
    return cells


def _draw_angle(ax: Axes, angle: xr.Dataset, truth: xr.DataArray | None, smallest: float) -> None:
    """Draw one DOF; the y axis spans at least ``smallest`` [degree or m]."""
    time, curve = angle["time"].values, angle["joint_angle"].values
    dots = "." if len(time) == 1 else ""
    std = angle["joint_angle_std"].values if "joint_angle_std" in angle else np.full_like(curve, np.nan)
    rom = [float(angle[name]) if name in angle else math.nan for name in ("rom_lower", "rom_upper")]
    drawn = [curve, curve - 2 * std, curve + 2 * std, truth.values if truth is not None else curve]
    lowest, highest = _view(np.concatenate(drawn), rom, smallest)
    ax.plot(time, curve, color=CURVE, lw=1.2, marker=dots, label="joint angle")
    if np.isfinite(rom).any():
        lower, upper = np.where(np.isnan(rom), [-np.inf, np.inf], rom)
        beyond = lowest - 1, highest + 1  # a limit out of view, or none, leaves the band open there
        band = max(lower, beyond[0]), min(upper, beyond[1])
        ax.axhspan(*band, color=ROM, alpha=0.10, lw=0, label="range of motion")
        for limit in band:
            ax.axhline(limit, color=ROM, lw=0.8)
    if np.isfinite(std).any():
        ax.fill_between(time, *drawn[1:3], color=CURVE, alpha=0.25, lw=0, label="± 2 standard deviations")
    if truth is not None:
        ax.plot(truth["time"], truth, color=TRUTH, lw=1.2, ls="--", marker=dots, label="truth")
    if "bound_state" in angle and angle["bound_state"].isin([1, 2]).any():
        held = np.where(angle["bound_state"].isin([1, 2]), curve, np.nan)
        ax.plot(time, held, color=LIMIT, lw=2.6, marker=".", ms=5, label="at a limit of the range of motion")
    ax.set_ylim(lowest, highest)
    ax.set_xlim(*((time[0], time[-1]) if len(time) > 1 else time[0] + [-0.5, 0.5]))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    unframed(ax)


def _view(values: np.ndarray, rom: Sequence[float], smallest: float) -> tuple[float, float]:
    """Return the ends of a y axis that holds the finite values and the limits near them."""
    values = values[np.isfinite(values)]
    if not len(values):
        values = np.array([limit for limit in rom if math.isfinite(limit)] or [0.0])
    lowest, highest = float(values.min()), float(values.max())
    lacking = max(smallest - (highest - lowest), 0.0) / 2
    lowest, highest = lowest - lacking, highest + lacking
    near = 0.6 * (highest - lowest)
    shown = [lowest, highest, *(limit for limit in rom if lowest - near <= limit <= highest + near)]
    margin = 0.08 * (max(shown) - min(shown))
    return min(shown) - margin, max(shown) + margin


def _of_dof(truth: xr.Dataset | None, name: str) -> xr.DataArray | None:
    """Return the true angle of a DOF over time, if it is known."""
    if truth is None or name not in variable(truth, "joint_angle", ("time", "dof"))["dof"].values:
        return None
    return truth["joint_angle"].sel(dof=name)
