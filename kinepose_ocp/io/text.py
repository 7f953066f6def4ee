"""Text files of numbers: errors that name the line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from kinepose_ocp.errors import DataError


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without byte order mark.

    Raises
    ------
    DataError
        When it is empty, or not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from None
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    if "\0" in text:
        raise DataError(f"{path}: not a text file (it has zero bytes)")
    return text


def numbers(cells: Sequence[str], path: Path, line: int) -> list[float]:
    """Return the cells of a line as numbers, an empty cell as NaN; ``line`` counts from 1.

    Raises
    ------
    DataError
        For a cell that is not a number; names its line and column.
    """
    try:
        return [float(cell) if cell and not cell.isspace() else math.nan for cell in cells]
    except ValueError:
        column = next(i for i, cell in enumerate(cells) if not _is_number(cell))
        raise DataError(
            f"{path}: line {line}, column {column + 1}: '{cells[column].strip()[:40]}' is not a number"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip()
    return True
