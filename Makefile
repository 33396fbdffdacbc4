# Each goal prepares .venv by itself; the second time that takes no time.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: install demo qemu test test-all lint format clean

install: $(READY)

demo: $(READY)
	$(BIN)/python -m benchmarks.demo

# Runs the engine for Android here. Where apt cannot install it, the tests that need it are skipped.
APT := $(if $(filter 0,$(shell id -u)),,sudo -n )apt-get
qemu:
	@command -v qemu-aarch64 >/dev/null \
		|| { $(APT) install --yes qemu-user >/dev/null 2>&1; } \
		|| { $(APT) update >/dev/null 2>&1 && $(APT) install --yes qemu-user >/dev/null 2>&1; } \
		|| echo "qemu: no qemu-aarch64, and apt-get cannot install qemu-user: ARM tests are skipped"

test: $(READY) qemu
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY) qemu
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
