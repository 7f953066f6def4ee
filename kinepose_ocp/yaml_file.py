"""YAML files: read, checked against what they may say, and written (YAML 1.2)."""

from __future__ import annotations

import inspect
import io
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kinepose_ocp.errors import KineposeError, ModelError, possible

SCHEMA = 1
REFUSALS = {
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
    "too_short": "is empty",
    "string_pattern_mismatch": "should be a name without dots and spaces",
}


class Strict(BaseModel):
    """A mapping of a file: no other keys than its fields."""

    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


Model = TypeVar("Model", bound=Strict)


# ---- reading -------------------------------------------------------------------------------------
def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file; a duplicate key is an error.

    Raises
    ------
    ModelError
        When the file cannot be read or is not YAML; names the line.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read the text of a file; errors as :func:`read_yaml`."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None


def parse_yaml(text: str, place: str) -> Any:
    """Parse YAML 1.2 text; ``place`` names it in errors."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = str(error.problem).splitlines()[0]
        raise ModelError(f"{place}: line {line}: {problem}; give each key once") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ModelError(f"{place}: line {line}: not valid YAML: {error.problem}") from None
    except YAMLError as error:
        raise ModelError(f"{place}: not valid YAML: {str(error).splitlines()[0]}") from None


# ---- checking ------------------------------------------------------------------------------------
def checked(
    data: Any, model: type[Model], place: str, wanted: str, error: type[KineposeError] = ModelError
) -> Model:
    """Return parsed data as what a file of this kind may say.

    Parameters
    ----------
    wanted
        What such a file is, in words.
    error
        What is raised: with place, what was given and what is possible.
    """
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise error(f"{place}: {wanted}; found {found}")
    if data.get("schema") != SCHEMA:
        raise error(f"{place}: schema is {data.get('schema')!r}; possible: {SCHEMA}")
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as refused:
        raise error(f"{place}: {_first_refusal(refused, data, model)}") from None


def _first_refusal(error: pydantic.ValidationError, data: Any, model: type[BaseModel]) -> str:
    """One line of the first thing that is wrong: place, what was given, what is possible."""
    first = error.errors()[0]
    where = ""
    value = data
    for key in first["loc"]:
        if isinstance(key, str) and not isinstance(value, dict):
            continue  # names the alternative that was tried, not a place in the file
        value = _item(value, key)
        where += f"[{key}]" if isinstance(key, int) else (f".{key}" if where else str(key))
        if isinstance(value, dict) and "name" in value and isinstance(key, int):
            where += f" ('{value['name']}')"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key; {possible(str(first['loc'][-1]), _known_keys(model, first['loc']))}"
    if first["type"] == "missing":
        return f"{where}: is required and missing"
    return f"{where}: {REFUSALS.get(first['type'], first['msg'].lower())}, found {first['input']!r}"


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the mapping around ``place`` may have."""
    for key in place[:-1]:
        field = model.model_fields.get(str(key))
        model = (_model_in(field.annotation) if field else None) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the mapping that a field holds: itself, in a list, or under names of its own."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _item(value: Any, key: int | str) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return None


# ---- writing -------------------------------------------------------------------------------------
def yaml_text(data: dict[str, Any]) -> str:
    """Return data as YAML text, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 160
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
