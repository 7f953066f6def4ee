"""What is shipped: the wheel, the source archive, and the lists of what they need."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIRED = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
EXTRA = [Requirement(text) for part in PROJECT["project"]["optional-dependencies"].values() for text in part]
NOT_SHIPPED = shutil.ignore_patterns(".*", "out", "build", "dist", "*.egg-info", "__pycache__")
CONDA_NAMES = {  # where they differ from those of PyPI
    "netCDF4": "netcdf4",
    "build": "python-build",
    "SALib": "salib",
    "libigl": "igl",
}
ENGINES = {"netCDF4"}  # declared, but imported by xarray
IMPORT_NAMES = {"igl": "libigl"}  # where a module is not called as its package


# ---- the archives --------------------------------------------------------------------------------
def missing_tools():
    """What the build needs and this environment, without network, has not."""
    for text in PROJECT["build-system"]["requires"]:
        need = Requirement(text)
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            return f"{need} is not installed"
        if found not in need.specifier:
            return f"{need} is needed, {found} is installed"
        if (
            need.name == "setuptools" and int(found.partition(".")[0]) < 71
        ):  # newer ones make wheels themselves
            if importlib.util.find_spec("wheel") is None:
                return f"setuptools {found} needs wheel, which is not installed"
    return None


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Names of the wheel and the source archive, built from a copy of what is here."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"no wheel can be built without network: {missing}")
    copy = tmp_path_factory.mktemp("copy") / "kinepose_ocp"
    shutil.copytree(ROOT, copy, ignore=NOT_SHIPPED)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy, cwd=copy)
    (wheel,), (source,) = (list((copy / "dist").glob(kind)) for kind in ("*.whl", "*.tar.gz"))
    return wheel, source


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shipped_files(folder):
    """Files below a folder of the checkout, by their path in it."""
    found = (ROOT / folder).rglob("*")
    files = {path.relative_to(ROOT / folder).as_posix() for path in found if path.is_file()}
    return {name for name in files if "__pycache__" not in name and not name.startswith(".")}


def test_what_is_to_be_shipped_is_here():
    models = shipped_files("models")
    assert {"fullbody.yaml", "imvip22.yaml", "layouts/h36m17.yaml", "couplings/fullbody.yaml"} <= models
    assert {"surface/body.npz", "surface/bones.npz", "surface/anatomy.yaml", "surface/NOTICE"} <= models
    assert any(name.startswith("examples/") for name in models)


def test_the_wheel_holds_all_modules_and_models(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        names = set(wheel.namelist())
    assert {f"kinepose_ocp/{name}" for name in shipped_files("kinepose_ocp")} <= names
    assert {f"kinepose_ocp/models/{name}" for name in shipped_files("models")} <= names
    assert not [name for name in names if name.startswith(("tests/", "studies/", "models/"))]
    assert any(name.endswith("LICENSE") for name in names)


def test_the_source_archive_holds_all_modules_and_models(archives):
    with tarfile.open(archives[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = {f"kinepose_ocp/{name}" for name in shipped_files("kinepose_ocp")}
    wanted |= {f"models/{name}" for name in shipped_files("models")}
    assert wanted | {"pyproject.toml", "LICENSE", "README.md"} <= names


def test_the_installed_wheel_finds_its_models(archives, tmp_path):
    target = tmp_path / "installed"
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, archives[0])
    run(sys.executable, *install)
    environment = os.environ | {"PYTHONPATH": str(target)}
    code = (
        "import kinepose_ocp as kp; from kinepose_ocp.shipped import models_dir; "
        "print(kp.__file__, models_dir(), kp.load_chain('fullbody').name, sep='\\n')"
    )
    found = run(sys.executable, "-c", code, cwd=tmp_path, env=environment).split("\n")
    assert found[:3] == [
        str(target / "kinepose_ocp" / "__init__.py"),
        str(target / "kinepose_ocp" / "models"),
        "fullbody",
    ]
    program = target / "bin" / "kinepose-ocp"
    listed = run(sys.executable, program, "models", "list", cwd=tmp_path, env=environment)
    assert "imvip22: " in listed and "h36m17" in listed


# ---- the lists -----------------------------------------------------------------------------------
def imported():
    """Third-party modules that the package imports."""
    found = set()
    for path in (ROOT / "kinepose_ocp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {
                "ruamel.yaml" if name.startswith("ruamel") else name.partition(".")[0] for name in names
            }
    found = {IMPORT_NAMES.get(name, name) for name in found}
    return found - set(sys.stdlib_module_names) - {"kinepose_ocp"}


def conda():
    """Return the requirements of environment.yml, and what it has pip install."""
    listed = YAML(typ="safe").load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = [entry["pip"] for entry in listed if isinstance(entry, dict)]
    return [Requirement(entry) for entry in listed if isinstance(entry, str)], pip


def by_name(requirements):
    """Lower bounds by name, as conda calls it."""
    return {CONDA_NAMES.get(each.name, each.name): str(each.specifier) for each in requirements}


def test_all_that_is_imported_is_declared_and_the_other_way_round():
    required, extra = ({each.name for each in part} for part in (REQUIRED, EXTRA))
    assert imported() - extra == required - ENGINES


def test_conda_gets_what_pip_gets():
    requirements, pip = conda()
    python = {"python": PROJECT["project"]["requires-python"], "pip": ""}
    assert by_name(requirements) == by_name([*REQUIRED, *EXTRA]) | python
    assert pip == [["-e ."]]


def test_every_requirement_has_a_lower_bound_and_no_upper_one():
    for each in [*REQUIRED, *EXTRA]:
        assert re.fullmatch(r">=[\d.]+", str(each.specifier)), each


def test_the_citation_is_of_this_version():
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert str(citation["version"]) == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert [reference["year"] for reference in citation["references"]] == [2022, 2019, 2006]
