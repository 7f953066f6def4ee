"""TRC marker files of OpenSim and Motion Analysis: tab-separated, five lines of header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.sampling import agree, sampling_rate
from kinepose_ocp.io.text import numbers, read_text
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.layouts import Layout

_ROUNDING = 0.6e-3  # s; half of the last digit, and a little
_PER_METRE = {"m": 1, "cm": 100, "mm": 1000}


def read(path: Path, layout: Layout | None, rate: float | None) -> xr.Dataset:
    """Read a marker file in m, cm or mm; empty cells and NaN are gaps.

    Raises
    ------
    DataError
        For a header without what is needed, a number of markers, columns or frames other than the header's,
        cells that are not numbers, or times that contradict DataRate; names the line.
    """
    lines = read_text(path).splitlines()
    header = _header(lines, path)
    units = header["Units"].lower()
    if units not in _PER_METRE:
        raise DataError(f"{path}: line 3: Units is '{header['Units']}'; possible: {', '.join(_PER_METRE)}")
    names = _names(lines[3], _count(header, "NumMarkers", path), path)
    columns = 2 + 3 * len(names)  # frame, time, x y z of every marker
    rows = _rows(lines, columns, path)
    if len(rows) != _count(header, "NumFrames", path):
        raise DataError(f"{path}: {len(rows)} frames, but NumFrames (line 3) is {header['NumFrames']}")
    table = np.array(rows).reshape(len(rows), columns)
    position = table[:, 2:].reshape(len(rows), len(names), 3) / _PER_METRE[units]
    in_file = sampling_rate(numbers([header["DataRate"]], path, 3)[0], rate, str(path))
    return make_keypoints(position, names, time=_time(table[:, 1], in_file, path), place=str(path))


def _header(lines: list[str], path: Path) -> dict[str, str]:
    """Return the values of line 3 by their names in line 2."""
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise DataError(f"{path}: not a TRC file: it has 5 lines of header, the first with 'PathFileType'")
    header = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    for name in ("DataRate", "NumFrames", "NumMarkers", "Units"):
        if name not in header:
            raise DataError(f"{path}: lines 2 and 3: no {name}; found: {', '.join(header) or 'nothing'}")
    return header


def _count(header: dict[str, str], name: str, path: Path) -> int:
    if not header[name].isdecimal():
        raise DataError(f"{path}: line 3: {name} is '{header[name]}', not a whole number")
    return int(header[name])


def _names(line: str, count: int, path: Path) -> list[str]:
    """Return the marker names of line 4: every third column from the third."""
    names = [cell.strip() for cell in line.rstrip().split("\t")[2::3]]
    if len(names) != count or not all(names):
        raise DataError(
            f"{path}: line 4: {sum(map(bool, names))} marker names, but NumMarkers (line 3) is {count}; "
            "names are three tabs apart"
        )
    return names


def _rows(lines: list[str], columns: int, path: Path) -> list[list[float]]:
    """Return the numbers of all frames; trailing tabs do not count."""
    rows = []
    for line, text in enumerate(lines[5:], start=6):
        if not text.strip():
            continue
        cells = text.split("\t")
        if len(cells) < columns or any(cell.strip() for cell in cells[columns:]):
            raise DataError(
                f"{path}: line {line}: {len(cells)} columns; frame, time and markers need {columns}"
            )
        row = numbers(cells[:columns], path, line)
        known = ~np.isnan(row[2:]).reshape(-1, 3)
        if (known.any(axis=1) & ~known.all(axis=1)).any():
            raise DataError(
                f"{path}: line {line}: a marker has only some of X, Y and Z; is a column missing?"
            )
        rows.append(row)
    return rows


def _time(time: np.ndarray, rate: float, path: Path) -> np.ndarray:
    """Return the times [s]; those that only were rounded (often to 1 ms) are put back in their place."""
    frame = np.round((time - time[:1]) * rate)
    steps = np.diff(frame)
    exact = time[:1] + frame / rate
    if np.all(np.abs(time - exact) <= _ROUNDING) and np.all(steps >= 1) and (1 in steps or not steps.size):
        return exact
    if not agree(time, rate):
        found = (len(time) - 1) / (time[-1] - time[0])
        raise DataError(f"{path}: the times run at {found:g} Hz, but DataRate (line 3) is {rate:g} Hz")
    return time
