"""JSON files of plain values."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file


def write_json(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write text, numbers, lists and mappings, whole or not at all.

    Raises
    ------
    DataError
        For content that JSON cannot hold (NaN, arrays), or a place that cannot be written.
    """
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: cannot be written as JSON: {error}") from None
    with whole_file(path) as temporary:
        Path(temporary).write_text(text + "\n", encoding="utf-8")
