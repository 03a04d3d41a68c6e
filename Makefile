# make demo         the main job on handwritten digits, from a checkpoint that ships
# make test         the whole test suite, in two processes
# make test-quick   a part of it from every room, with fewer random networks: within a minute
# make test-lowest  float and bit tests once more, with the lowest instructions of torch
# make test-cpus    the suite with other instructions, the bit tests on emulated processors
# make check        lint, format, types, floors
# make bench        the measurements of benchmarks/
#
# Each of them makes the virtual environment .venv first, when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

 # Compiled modules are kept: a process that a test starts would compile all of them once more.
TESTS := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

ONLY ?= # of test-lowest: --quick takes the first row of each test

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick test-lowest test-cpus check bench clean

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
	INTAGLIO_TEST_CASES=5 $(TESTS) --quick

LOWEST := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
test-lowest: $(READY)
	$(LOWEST) INTAGLIO_TEST_CASES=20 $(TESTS) $(ONLY) -m "(floats or bits) and not long"

test-cpus: $(READY)
	@# torch obeys these variables; XNNPACK asks the processor itself, and so is given another one
	@command -v qemu-x86_64 >/dev/null || \
		{ echo "make test-cpus emulates processors: apt-get install qemu-user"; exit 1; }
	$(TESTS)
	$(LOWEST) $(TESTS)
	$(AVX2) $(TESTS) -m "floats or bits"
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -m "floats or bits"
	@# padding="same" and exported programs run inside of torch, where these kernels are not
	INTAGLIO_TEST_KERNELS=other $(TESTS) -m floats -k "not convolution_forms and not replays_bit_for_bit"
	INTAGLIO_TEST_CASES=4 INTAGLIO_TEST_CPU=Haswell $(TESTS) -m bits
	INTAGLIO_TEST_CASES=4 INTAGLIO_TEST_CPU=Nehalem $(TESTS) -m bits

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_floors.py

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) demo-out
