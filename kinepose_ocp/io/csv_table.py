"""CSV tables of keypoints: ``time,NAME_x,NAME_y,NAME_z,[NAME_c]...``; seconds, metres, empty = missing."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.io.sampling import check_given_rate, sampling_rate
from kinepose_ocp.io.text import numbers, read_text
from kinepose_ocp.keypoints import SPACE, check_keypoints, make_keypoints
from kinepose_ocp.layouts import Layout


def read(path: Path, layout: Layout | None, rate: float | None) -> xr.Dataset:
    """Read a table; columns in any order. Without a column ``time``, ``rate`` [Hz] is needed.

    Raises
    ------
    DataError
        For columns that are missing, unknown or there twice, and cells that are not numbers; names the line.
    """
    header, names, table = _table(path)
    columns = {name: i for i, name in enumerate(header)}
    position = table[:, [[columns[f"{name}_{axis}"] for axis in SPACE] for name in names]]
    confidence = np.ones(position.shape[:2])
    for i, name in enumerate(names):
        if f"{name}_c" in columns:
            confidence[:, i] = table[:, columns[f"{name}_c"]]
    if "time" in columns:
        time = table[:, columns["time"]]
        check_given_rate(time, rate, str(path))
        return make_keypoints(position, names, time=time, confidence=confidence, place=str(path))
    rate = sampling_rate(None, rate, str(path))
    return make_keypoints(position, names, rate=rate, confidence=confidence, place=str(path))


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write keypoints; reading them gives the same values, to the last bit.

    Raises
    ------
    DataError
        When the dataset holds no keypoints, or the file cannot be written.
    """
    ds = check_keypoints(dataset, f"{path}: cannot be written")
    columns = [f"{name}_{part}" for name in ds["keypoint"].values for part in (*SPACE, "c")]
    values = np.concatenate([ds["position"].values, ds["confidence"].values[:, :, None]], axis=2)
    rows = np.column_stack([ds["time"].values, values.reshape(len(values), -1)])
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["time", *columns])
        table.writerows([["" if cell != cell else repr(cell) for cell in row] for row in rows.tolist()])


def _table(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Return the header, the names of the points in it, and the numbers (rows, columns)."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    header: list[str] = []
    names: list[str] = []
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                names = _names(header, path)
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}: line {reader.line_num}: {len(cells)} cells, but the header has {len(header)}"
                )
            rows.append(numbers(cells, path, reader.line_num))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not valid CSV: {error}") from None
    return header, names, np.array(rows).reshape(len(rows), len(header))


def _names(header: list[str], path: Path) -> list[str]:
    """Return the names of the points in the order of their x columns."""
    twice = [column for column, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path}: line 1: columns must be unique; there more than once: {', '.join(twice)}")
    names = [column[:-2] for column in header if column.endswith("_x") and len(column) > 2]
    wanted = {f"{name}_{part}" for name in names for part in SPACE}
    optional = {"time", *(f"{name}_c" for name in names)}
    unknown = [column for column in header if column not in wanted | optional]
    if unknown or not names:
        raise DataError(
            f"{path}: line 1: {f'unknown column {unknown[0]!r}' if unknown else 'no point'}; "
            "the header is time,NAME_x,NAME_y,NAME_z,[NAME_c],... separated by commas"
        )
    for column in sorted(wanted):
        if column not in header:
            raise DataError(f"{path}: line 1: no column '{column}'; each point has NAME_x, NAME_y and NAME_z")
    return names
