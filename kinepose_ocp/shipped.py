"""Files that ship with kinepose_ocp: where they are, and which."""

from __future__ import annotations

from pathlib import Path

from kinepose_ocp.errors import ModelError, possible


def models_dir() -> Path:
    """Return the folder of the shipped files: in the installed package, else in this checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def shipped_chains() -> list[str]:
    """Names of the chains that ship with kinepose_ocp."""
    return _names("")


def shipped_couplings() -> list[str]:
    """Names of the files of coupled ranges that ship with kinepose_ocp."""
    return _names("couplings")


def shipped_layouts() -> list[str]:
    """Names of the layouts that ship with kinepose_ocp."""
    return _names("layouts")


def chain_path(name: str | Path) -> Path:
    """Return the file of a shipped chain by its name, or a YAML file as it is.

    Raises
    ------
    ModelError
        For a name that is neither; it says which there are.
    """
    return _path(name, "", f"no chain '{name}': neither a .yaml file nor a shipped chain")


def couplings_path(name: str | Path) -> Path:
    """Return the file of shipped coupled ranges by its name, or a YAML file as it is; as `chain_path`."""
    return _path(name, "couplings", f"no couplings '{name}': neither a .yaml file nor a shipped one")


def _names(folder: str) -> list[str]:
    return sorted(path.stem for path in (models_dir() / folder).glob("*.yaml"))


def _path(name: str | Path, folder: str, refusal: str) -> Path:
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if str(name) not in _names(folder):
        raise ModelError(f"{refusal}; {possible(str(name), _names(folder))}")
    return models_dir() / folder / f"{name}.yaml"
