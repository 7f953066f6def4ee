# kinepose_ocp: `make demo` runs the main job, `make test` the tests. Each target makes .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo evaluate test lint clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,c3d,excel,cluster,surface]'
	@touch $@

demo: $(READY)  ## solve the bundled example; figures, GIF and NetCDF in out/demo
	$(BIN)/python studies/demo.py

evaluate: $(READY)  ## judge accuracy on boundary cases; report in out/evaluate (5 minutes)
	$(BIN)/kinepose-ocp evaluate -o out/evaluate

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest

lint: $(READY)  ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

clean:  ## remove everything that can be made again
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
