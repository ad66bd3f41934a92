# Two commands on a fresh machine: `make portrait` makes the print, `make test` runs every check.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

# PyTorch comes first and by exact version, so that nothing else pulls another build. Without a GPU the CPU build is
# enough and far smaller; a machine with wheels of its own (PIP_FIND_LINKS) knows where to look.
TORCH := torch==2.13.0
HAS_GPU := $(shell command -v nvidia-smi 2>/dev/null)
ifeq ($(HAS_GPU)$(PIP_FIND_LINKS),)
TORCH_INDEX := --index-url https://download.pytorch.org/whl/cpu
endif

.PHONY: portrait test lint types imports format clean

portrait: $(VENV)/.installed
	$(BIN)/upimagine make portrait --out out/portrait

test: lint types imports
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

clean:
	rm -rf $(VENV) out build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.torch:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d; give PYTHON=python3.12, say" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH) $(TORCH_INDEX)
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed
