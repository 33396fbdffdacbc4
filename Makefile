# Each goal prepares .venv by itself; the second time that takes no time.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: install demo test test-all lint format clean

install: $(READY)

demo: $(READY)
	$(BIN)/python -m benchmarks.demo

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first and alone: its CPU build satisfies everything that asks for torch afterwards.
# TORCH_INDEX=URL takes it from another index, such as the one with CPU builds only.
$(READY): setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
		$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--editable ".[compile,demo,window,bench,dev]"
	touch $@

clean:
	rm -rf .venv build
