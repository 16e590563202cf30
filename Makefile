# `make run` and `make test` need a Python of PYTHONS with venv, make and git, the tests PostgreSQL's programs too; everything
# else is installed into .venv.
PYTHONS := 3.11 3.12 3.13
# The first that runs: pyenv has a shim for each, and starts those only that its variable names.
PYENVS := $(shell pyenv versions --bare 2>/dev/null | paste -sd:)
START := $(if $(PYENVS),PYENV_VERSION=$(PYENVS))
PYTHON ?= $(or $(shell for version in $(PYTHONS); do $(START) python$$version -c "" 2>/dev/null && echo python$$version && break; \
	done),$(error needs a Python of $(PYTHONS)))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two more than there are cores: a third of the tests' time is waiting, for a server or for another process.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

# Processes that tests start would compile the package anew, each of them, where an image forbids to keep it compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test test-pythons check types types-of-windows bench bench-scale campaign mutation lock clean

run: $(READY)
	$(BIN)/suffice compare --source pdg --method optimal,curtailed-exact,margin --report TemporaryQueue/compare/report.html
	$(BIN)/suffice rehearse --source pdg

# A module's tests stay together: what they share is made once.
test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

test-pythons:
	for version in $(PYTHONS); do $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit; done

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --jobs=2 --output-sync types types-of-windows
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

# In a cache of its own, or each would throw away what the other has typed.
types-of-windows: $(READY)
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

bench: $(READY) $(VENV)/.bench-ready
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.plans
	$(BIN)/python -m benchmarks.verify
	$(BIN)/python -m benchmarks.acknowledge

bench-scale: $(READY) $(VENV)/.bench-ready
	$(BIN)/python -m benchmarks.workers
	$(BIN)/python -m benchmarks.reading
	$(BIN)/python -m benchmarks.scale

campaign: $(READY)
	$(BIN)/python -m pytest -n auto -m campaign
	$(BIN)/python -m pytest -n auto -m "hypothesis and not campaign" --hypothesis-profile long
	$(BIN)/python -m tests.mutation

mutation: $(READY)
	$(BIN)/python -m tests.mutation

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra all --extra dev --generate-hashes --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra bench --constraint requirements.lock --generate-hashes --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--output-file requirements-bench.lock

clean:
	rm -rf .venv .venv-* TemporaryQueue .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.bench-ready: $(READY) requirements-bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

$(READY): requirements.lock pyproject.toml
	$(START) $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)
