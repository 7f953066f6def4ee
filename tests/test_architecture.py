"""The import graph and other rules of the house that a program can check."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kinepose_ocp"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_SOURCES = [*SOURCES, *sorted((ROOT / "tests").glob("*.py")), *sorted((ROOT / "studies").rglob("*.py"))]
SYMBOLIC = {
    "motion_values",
    "numeric",
    "anatomy",
    "rotations",
    "kinematics",
    "coupling_kernels",
    "terms",
    "lifting",
    "kernels",
    "transcription",
    "solvers",
    "surface.skinning",
    "surface.articulation",
    "surface.parts_program",
    "surface.point_costs",
    "surface.placement",
    "surface.posing",
    "surface.registration",
}


def module_name(path):
    """kinepose_ocp/io/npz.py -> kinepose_ocp.io.npz."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PICKLES = {  # files of others only, read so that nothing in them runs
    PACKAGE / "io" / "chumpy_pickle.py",
    ROOT / "tests" / "test_chumpy_pickle.py",
    ROOT / "tests" / "test_body_files.py",
    ROOT / "tests" / "test_osso_files.py",
}
MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def imports(tree):
    """Every module that a file imports, in full; ``from a import b`` is a.b where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def users(*libraries):
    """Modules, without the name of the package, that import one of these libraries."""
    return {
        name.partition(".")[2]
        for name, tree in MODULES.items()
        if any(imported.partition(".")[0] in libraries for imported in imports(tree))
    }


def test_the_package_was_found():
    assert {"kinepose_ocp", "kinepose_ocp.cli", "kinepose_ocp.io", "kinepose_ocp.io.npz"} <= set(MODULES)


def test_imports_point_one_way():
    graph = {
        name: {imported for imported in imports(tree) if imported in MODULES}
        for name, tree in MODULES.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(reversed(error.args[1]))}")
    place = {name.partition(".")[2]: i for i, name in enumerate(order)}
    assert place["rotations"] < place["kinematics"] < place["kernels"] < place["problem"] < place["cli"]
    assert place["surface.skinning"] < place["surface.body"] < place["surface"]


def test_figures_are_made_in_one_package():
    found = users("matplotlib", "PIL") - {"evaluation_figures", "surface_figures"}
    assert found and all(name.startswith("plotting.") for name in found), found


def test_symbols_stay_in_the_symbolic_modules():
    assert users("casadi") <= SYMBOLIC | {"dataset"}


def test_the_dataset_takes_nothing_of_casadi_but_its_version():
    used = {
        node.attr
        for node in ast.walk(MODULES["kinepose_ocp.dataset"])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ca"
    }
    assert used <= {"CasadiMeta"}


def test_file_formats_stay_in_io():
    found = users("csv", "json", "zipfile", "netCDF4", "h5py", "h5netcdf", "ezc3d", "openpyxl", "xml")
    assert all(name.startswith("io.") for name in found), found


def test_files_are_checked_and_parsed_in_their_own_modules():
    assert users("ruamel") == {"yaml_file"}
    assert users("pydantic") == {"chain_file", "study_file", "yaml_file"}


def test_nothing_below_the_surface_knows_of_it():
    users_of_surface = {
        name
        for name, tree in MODULES.items()
        if any(imported.startswith("kinepose_ocp.surface") for imported in imports(tree))
    }
    assert {name for name in users_of_surface if ".surface" not in name} <= {"kinepose_ocp.cli"}


def test_meshes_are_read_in_one_module_and_no_copyleft_module_is_used():
    assert users("trimesh") <= {"surface.mesh"}
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert not [name for name in ("igl.copyleft", "igl.triangle", "tetgen", "cgal") if name in text]


def test_pickles_are_read_in_one_module_that_builds_nothing_but_arrays():
    assert users("pickle") <= {"io.chumpy_pickle"}


def test_only_the_command_line_talks():
    assert users("typer", "rich") == {"cli", "models_command", "terminal"}
    talkative = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("print", "input")
    }
    assert talkative == {f"kinepose_ocp.{name}" for name in ("cli", "models_command", "terminal")}


def test_the_command_line_is_imported_by_nothing_but_the_program():
    users_of_cli = {name for name, tree in MODULES.items() if "kinepose_ocp.cli" in imports(tree)}
    assert users_of_cli == {"kinepose_ocp.__main__"}


@pytest.mark.parametrize("path", ALL_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_house_rules_of_a_file(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc")
    imported = list(imports(tree))
    assert not {"studies", "tests"} & {name.partition(".")[0] for name in imported}
    pickles = {"cPickle", "dill", "joblib"} | ({"pickle"} if path not in PICKLES else set())
    assert not pickles & set(imported)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert "*" not in [alias.name for alias in node.names], f"line {node.lineno}: import *"
        assert not isinstance(node, ast.Global), f"line {node.lineno}: global state"
