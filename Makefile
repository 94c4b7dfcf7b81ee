# Each target does its own set-up: a virtual environment in .venv, filled once (the stamps say with what).
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
PY := $(VENV)/bin/python
# Bytecode is made of what is imported, when it is: making all of it takes longer than the rest of installing.
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
UNIT_JOBS ?= $(JOBS)
export PYTHONPATH := $(CURDIR)
# The tests start many processes, and half of what one takes to import jtorch is compiling its source: bytecode is kept, whatever this machine's habit is.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint unit compat compat-full scoreboard bench docs wheel-test clean

demo: .stamps/demo  ## train the digits classifier with `import torch` resolved to jtorch; no torch needed
	$(PY) -m jtorch examples/digits_cnn.py

test: .stamps/test  ## everything CI runs, at once: what of it takes one processor leaves none idle so
	$(MAKE) -j3 lint unit compat UNIT_JOBS=$$((($(JOBS) + 1) / 2))

lint: .stamps/test
	$(VENV)/bin/ruff check jtorch compat tests examples tools
	$(VENV)/bin/lint-imports
	$(PY) -m mypy

unit: .stamps/test  ## jtorch by itself: real torch is installed but must not be needed
	$(PY) -m pytest tests -n $(UNIT_JOBS) --dist loadfile

compat: .stamps/test  ## jtorch beside real torch
	$(PY) -m pytest compat -n $(JOBS) --dist worksteal

# Four hours of one core. What is cut off goes on where it was, at the same commit; SLICE=2/7 is a night's share of a week.
SLICE = 1/1
COMMIT = $(shell git rev-parse --short HEAD 2>/dev/null || echo none)

compat-full: .stamps/test  ## all samples, all dtypes: hours; SLICE=I/N takes a part
	bad=0; \
	$(PY) -m compat.opdb --full -j $(JOBS) --slice $(SLICE) --resume .stamps/op_db_full-$(COMMIT).jsonl --write || bad=1; \
	$(PY) -m compat.moduledb --full -j $(JOBS) --slice $(SLICE) || bad=1; \
	$(PY) -m pytest compat -m 'slow or not slow' || bad=1; \
	exit $$bad

scoreboard: .stamps/test  ## the default samples of every entry; rewrites compat/scoreboard/ and docs/scoreboard.md
	$(PY) -m compat.opdb -j $(JOBS) --write
	$(PY) -m compat.opdb --transforms -j $(JOBS) --write
	$(PY) -m compat.moduledb -j $(JOBS) --write
	$(PY) -m compat.surface --write

bench: .stamps/test  ## µs per operator, ms per step, time to first step; rewrites docs/benchmarks.md
	$(PY) -m compat.bench --write

docs: .stamps/docs  ## the picture of the floors, the plots of the benchmarks, and the site in build/site
	$(PY) tools/draw_floors.py
	$(PY) tools/draw_benchmarks.py
	$(PY) -m mkdocs build --strict --quiet

# JAX="jax==0.12.*" takes that one; PYTHON= the interpreter.
wheel-test: $(PY)  ## build the wheel and try it in an environment of its own, outside this checkout: examples, a notebook, help()
	rm -rf dist build/wheel && $(PIP) build && $(PY) -m build --quiet --wheel
	$(PYTHON) -m venv build/wheel && env -u PYTHONPATH build/wheel/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[demo]" nbconvert ipykernel '$(or $(JAX),jax)'
	set -e; tried=$$(mktemp -d); cp examples/*.py tools/try_wheel.py "$$tried"; cd "$$tried"; env -u PYTHONPATH "$(CURDIR)/build/wheel/bin/python" try_wheel.py

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

.stamps/demo: pyproject.toml | $(PY)
	$(PIP) -e '.[demo]'
	@mkdir -p .stamps && touch $@

.stamps/test: pyproject.toml | $(PY)
	$(PIP) -e '.[demo,tensorboard,safetensors,compat,dev]'
	@mkdir -p .stamps && touch $@ .stamps/demo

.stamps/docs: pyproject.toml | $(PY)
	$(PIP) -e '.[docs]' grimp
	@mkdir -p .stamps && touch $@

clean:
	rm -rf $(VENV) .stamps build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
