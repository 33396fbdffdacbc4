# Each goal prepares .venv by itself; the second time that takes no time.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/ready

.PHONY: install demo tools test test-all lint format clean

install: $(READY)

demo: $(READY)
	$(BIN)/python -m benchmarks.demo

# What some tests want beside Python: ARM code is run by qemu, a window needs a screen and its keys,
# ffprobe reads packages, clang fuzzes. COMMAND:PACKAGE each; where apt cannot install one, the tests
# that need it are skipped.
TOOLS := qemu-aarch64:qemu-user Xvfb:xvfb xdotool:xdotool ffmpeg:ffmpeg clang:clang
APT := $(if $(filter 0,$(shell id -u)),,sudo -n )apt-get
tools:
	@missing() { for tool in $(TOOLS); do \
		command -v $${tool%%:*} >/dev/null || echo $${tool##*:}; done; }; \
	install() { $(APT) install --yes $$(missing) >/dev/null 2>&1; }; \
	test -z "$$(missing)" || install || { $(APT) update >/dev/null 2>&1 && install; } \
		|| echo "tools: apt-get cannot install" $$(missing)": the tests that need it are skipped"

# Two at a time by default, a whole file each: what a file's tests share is made once. In the order
# of the folders, so that the long files of compiler/ do not come last.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(READY) tools
	$(PYTEST) -m "not slow"

test-all: $(READY) tools
	$(PYTEST)

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
