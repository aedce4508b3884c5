# Every command of the project; `make` alone lists them. All run in .venv, which the first of them makes.

PYTHON ?= python3
# One more than the two cores that are reckoned with, since many tests wait for processes.
WORKERS ?= 3

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
# Written last in a set-up, with the folder it was made for: a copied or moved repository is set up again,
# for an editable install would go on pointing at the first one.
READY := $(VENV)/.ready
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

# What mypy reads; measurements and examples only where there are any.
TYPED := src tests $(wildcard bench) $(wildcard examples)

# Runs from here keep compiled bytecode whatever the caller's shell says, so that start-up is what users get.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types-linux types-win32 types-darwin format soak fuzz load stops bench audit lock clean debian-tools

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY)  ## Make .venv with everything in it (PYTHON=python3.12 chooses the interpreter)
	@:

$(READY): requirements.lock pyproject.toml
	@rm -f $@
	@scripts/venv $(PYTHON) $(VENV)
	$(PIP) install --quiet --compile --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(PY) -m compileall -q src
	@printf '%s\n' '$(CURDIR)' > $@

demo: $(READY)  ## Show a launcher at work
	$(PY) -m quarterdeck demo

test: $(READY) debian-tools  ## Run the tests (ARGS="-k pool" picks some)
	$(PY) -m pytest -n $(WORKERS) $(ARGS)

check: lint types-linux types-win32 types-darwin  ## Read the sources: ruff, and mypy for each system

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) scripts/audit.py --offline

# Each system has a cache of its own: a change of --platform would throw away a shared one.
types-linux: $(READY)
	$(PY) -m mypy --platform linux --cache-dir .mypy_cache/linux $(TYPED)

types-win32 types-darwin: types-%: $(READY)
	$(PY) -m mypy --platform $* --cache-dir .mypy_cache/$* src

format: $(READY)  ## Write the sources as `make check` wants them
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

soak: $(READY)  ## Simulate worlds as long as you like (SECONDS=600)
	$(PY) -m quarterdeck simulate --for $(or $(SECONDS),600) $(ARGS)

fuzz: $(READY)  ## Fuzz wire, configuration and journals (FUZZ_SECONDS=60 for each target; ARGS=deckfile for one)
	@$(PY) -c 'import atheris' 2>/dev/null || $(PIP) install --quiet --editable '.[fuzz]' --no-build-isolation
	$(PY) -m tests.fuzz.run --seconds $(or $(FUZZ_SECONDS),60) $(ARGS)

load: $(READY)  ## A launcher among 1 000 clients that misbehave (ARGS="--seconds 60 --clients 1000")
	$(PY) -m bench.soak $(ARGS)

stops: $(READY) debian-tools  ## Run the tests while random processes of theirs stand still for a moment (SEED=7)
	$(PY) -m tests.stops.run --seed $(or $(SEED),1) -- -n $(WORKERS) $(ARGS)

bench: $(READY)  ## Measure, beside the peers that are installed or that Debian installs (docs/speed.md)
	@scripts/debian-tools bench
	$(PY) bench/run.py $(ARGS)

audit: $(READY)  ## Look at requirements.lock, and at what is known against it where the network lets us
	$(PY) scripts/audit.py $(ARGS)

lock:  ## Write requirements.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@scripts/venv $(PYTHON) $(VENV)
	$(PIP) install --quiet --upgrade uv
	$(PY) -m uv --no-config pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock" \
		--output-file requirements.lock $(ARGS) pyproject.toml

clean:  ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests $(wildcard bench) $(wildcard examples) -name __pycache__ -type d -prune -exec rm -rf {} +

debian-tools:
	@scripts/debian-tools
