# Two commands on a fresh machine with Python 3.11 or newer: `make run` and `make test`. Each does its own set-up in $(VENV).
PYTHON ?= python3
VENV ?= .venv
EVENTS ?= 3000
PYTEST_ARGS ?=

BIN := $(VENV)/bin

.PHONY: install run test lint docs clean

install: $(VENV)/installed

$(VENV)/installed: setup.py pyproject.toml constraints.txt $(wildcard kernels/*/*.cpp kernels/*/*.h kernels/*/*.cu kernels/*.cpp kernels/*.h)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

# The main job on simulated data: ROOT files -> prepared data -> trained network -> report -> ONNX.
run: install
	$(BIN)/engine simulate calratio -o data/calratio --events $(EVENTS)
	$(BIN)/engine run specs/calratio.yaml

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What is made from the schemas: the manuals and the schema for editors. Tests hold them up to date.
docs: install
	$(BIN)/python -m engine.spec.docs
	$(BIN)/python -m engine.graph.docs
	$(BIN)/engine schema -o schemas/editor/spec.json

clean:
	rm -rf $(VENV) build *.egg-info
