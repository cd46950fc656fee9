# make demo      install into .venv and search blocks for handwritten digits (a few minutes)
# make test      install and run all checks and tests
# make quick     the tests that take a moment (pytest -m "not slow")
# make check     lint, format, types, and whether the documentation can be built
# make docs      the documentation as a site: build/site/index.html
# make mutants   change q_learning/, exchange/ and record/ in small ways and see which changes no
#                test notices (an hour or two; stopped, it goes on where it was)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(VENV)/.dev-installed

PYTEST := env OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadgroup --durations 15 --durations-min 5
BACKGROUND := $(BIN)/python tests/background.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
MUTMUT := mutmut==3.8.*

# Tests start hundreds of Pythons: where this is set, each would compile what it imports anew, 2.5 s of
# the processor for PyTorch.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo install test quick check docs unit experiments mutants clean

demo: $(INSTALLED)
	$(BIN)/blockqnn demo

install: $(DEV_INSTALLED)

# Experiments mostly wait, two at a time; all the rest goes on in what they leave of the processor. It
# must not take more: NNI gives its manager four seconds to start, and its tuner ten.
test: $(DEV_INSTALLED)
	$(MAKE) --jobs 3 --output-sync=target --keep-going experiments check unit

quick: $(DEV_INSTALLED)
	$(PYTEST) -m "not slow" -n 2

unit: $(DEV_INSTALLED)
	$(BACKGROUND) $(PYTEST) tests/unit -n 2

experiments: $(DEV_INSTALLED)
	$(PYTEST) tests/nni tests/system -n 2

mutants: $(DEV_INSTALLED)
	$(PIP) '$(MUTMUT)'
	$(BIN)/python tests/mutants.py

check: $(DEV_INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BACKGROUND) $(BIN)/python tests/check_types.py
	$(BACKGROUND) $(BIN)/python docs/_site/build_site.py

docs: $(DEV_INSTALLED)
	$(BIN)/python docs/_site/build_site.py

clean:
	rm -rf $(VENV) build mutants *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; say make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# Without --no-compile, pip compiles all of PyTorch's modules (50 s), of which few are imported.
$(INSTALLED): setup.py $(BIN)/python
	$(PIP) --no-compile -e .
	touch $@

$(DEV_INSTALLED): setup.py $(BIN)/python
	$(PIP) --no-compile -e '.[dev]'
	touch $@ $(INSTALLED)
