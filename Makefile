# make demo   install into .venv and search blocks for handwritten digits (a few minutes)
# make test   install and run all tests
# make quick  only the tests that take a moment (pytest -m "not slow")
# make check  lint, format and types

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(VENV)/.dev-installed

.PHONY: demo test quick check unit clean

demo: $(INSTALLED)
	$(BIN)/blockqnn demo

test: $(DEV_INSTALLED) check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -n 2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/nni tests/system -n 3 --dist loadgroup

quick: $(DEV_INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

unit: $(DEV_INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -n 2

check: $(DEV_INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; say make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): setup.py $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(DEV_INSTALLED): setup.py $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(INSTALLED)
