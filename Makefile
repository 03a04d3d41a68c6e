# make demo        the main job on handwritten digits, from a checkpoint that ships
# make test        the whole test suite, in two processes
# make test-quick  a part of it from every room, within a minute
# make check       lint, format, types, floors
# make bench       the measurements of benchmarks/
#
# Each of them makes the virtual environment .venv first, when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

 # Compiled modules are kept: a process that a test starts would compile all of them once more.
TESTS := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick check bench clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/d'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "intaglio needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0 -e ".[dev]"
	touch $@

demo: $(READY)
	$(BIN)/python -m intaglio.demo

test: $(READY)
	$(TESTS)

test-quick: $(READY)
	$(TESTS) --quick

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo-out
