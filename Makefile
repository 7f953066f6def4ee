# kinepose_ocp: `make demo` runs the main job, `make test` the tests. Each target makes .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OTHERS := demo make_example body_skeleton surface_measurements
STUDIES := $(filter-out $(OTHERS:%=studies/%.py), $(wildcard studies/*.py))

.DEFAULT_GOAL := help
.PHONY: help demo skeleton evaluate studies test lint clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,c3d,excel,cluster,studies,surface]'
	@touch $@

demo: $(READY)  ## solve the bundled example; figures, GIF and NetCDF in out/demo
	$(BIN)/python studies/demo.py

skeleton: $(READY)  ## find the bones inside a body surface; meshes, chain, report, picture in out/skeleton
	rm -rf out/skeleton
	$(BIN)/python studies/body_skeleton.py

evaluate: $(READY)  ## judge accuracy on boundary cases; report in out/evaluate (5 minutes)
	$(BIN)/kinepose-ocp evaluate -o out/evaluate

studies: $(READY)  ## run every study; figures and numbers in out/NAME (45 minutes on two idle cores)
	set -e; for study in $(STUDIES); do $(BIN)/python $$study; done

test: $(READY)  ## run the tests, two at a time
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: $(READY)  ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

clean:  ## remove everything that can be made again
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
