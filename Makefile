# Landfall: what one does with it. `make help` lists the targets.

VENV ?= .venv
# The first of these that is Python 3.11 to 3.13; say PYTHON=... for another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo "$$p" && break; done)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
KERNEL := $(VENV)/.kernel
FIND_JAVA := from devcloud import java; from devcloud.databricks import jars; java.use_java(jars.cache_folder())
# How many tests at once; tests that share a cloud or a Spark session stay together.
WORKERS ?= 2
PYTEST_ARGS ?=
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup browser infra-check checkov package demo test test-unit test-all docs coverage test-crash test-soak test-many peers pictures lint format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(KERNEL) ## Make the virtual environment: Python packages, Spark's jars, a JRE where there is none

$(READY): requirements-dev.txt requirements-jre.txt pyproject.toml devcloud/pyproject.toml
	@test -n "$(PYTHON)" || { echo "landfall needs Python 3.11, 3.12 or 3.13, and none is on the PATH;" \
		"name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "landfall needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not" >&2; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" --version)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "installing the packages (the first time some 600 MB are fetched)"
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . --editable devcloud
	@$(BIN)/python -c "$(FIND_JAVA)" 2>/dev/null || { echo "no Java 17 to 23 here: adding one by pip"; \
		$(BIN)/python -m pip install --quiet -r requirements-jre.txt; }
	@$(BIN)/python -m devcloud.databricks.jars >/dev/null
	@touch $@ $(KERNEL)

# The editable install builds the kernel in place, where there is a C compiler.
$(KERNEL): $(READY) setup.py $(wildcard landfall/validation/prefilter/kernel/*.[ch])
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@test -f landfall/validation/prefilter/kernel/_kernel.abi3.so || \
		echo "no C compiler here: Polars prefilters instead of the compiled kernel" >&2
	@touch $@

infra-check: $(READY) ## Compile, lint and evaluate the Bicep templates, and compare them with the code (needs the Bicep CLI)
	@test -n "$$BICEP" || command -v bicep >/dev/null || test -x ../shared/tools/bicep || { \
		echo "no Bicep CLI: put bicep on the PATH, or name it in BICEP" >&2; exit 1; }
	$(BIN)/python -m pytest -q -n 0 tests/infra $(PYTEST_ARGS)

checkov: .venv-checkov/.ready ## Install checkov in an environment of its own: infra-check uses it

.venv-checkov/.ready: $(READY)
	@test -x .venv-checkov/bin/python || $(BIN)/python -m venv .venv-checkov
	@.venv-checkov/bin/python -m pip install --quiet checkov==3.3.30
	@touch $@

package: $(READY) ## What a deployment to Azure uploads: files, size, and the time that its first start takes
	$(BIN)/python -m benchmarks.package

demo: $(KERNEL) ## Take real drops the whole way through a local Azure, and show what became of each
	@$(BIN)/landfall demo

test-unit: $(KERNEL) ## The fast tests alone: nothing but Python, no JVM, no services
	$(PYTEST) -q -m "not slow and not spark and not large" tests/unit tests/parity $(PYTEST_ARGS)

coverage: $(KERNEL) ## The unit tests with the coverage of the library; fails below its floor
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not spark" tests/unit tests/parity \
		--cov=landfall.contract --cov=landfall.validation --cov-report=term:skip-covered --cov-fail-under=90

docs: $(READY) ## Build the documentation site into build/site
	$(BIN)/python -m docs.generate
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

test: lint $(KERNEL) ## Check style and types, then run the tests (without those marked slow)
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: lint $(KERNEL) ## The same with every test, and those of the Spark jobs over Spark Connect too
	$(PYTEST) $(PYTEST_ARGS)
	SPARK_REMOTE="local[2]" $(BIN)/python -m pytest tests/spark $(PYTEST_ARGS)

peers: .venv-peers/.ready ## Install other validators beside, to compare with (in .venv-peers)

.venv-peers/.ready: requirements-peers.txt $(READY)
	@test -x .venv-peers/bin/python || $(BIN)/python -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet -r requirements-peers.txt
	@touch $@

test-crash: $(READY) ## Kill the service at every point where it touches the outside; writes docs/reference/crash-matrix*.md
	$(BIN)/python -m tests.faults.matrix --out docs/reference/crash-matrix.md
	$(BIN)/python -m tests.faults.matrix --spark --out docs/reference/crash-matrix-spark.md
	$(BIN)/python -m tests.faults.extraction --out docs/reference/crash-matrix-extract.md

test-soak: $(READY) ## 10,000 drops (or DROPS=n) under faults and kills; writes docs/reference/soak.md
	$(BIN)/python -m tests.faults.soak --drops $(or $(DROPS),10000) --out docs/reference/soak.md

test-many: $(READY) ## Several instances: batches with a poisoned drop, and a worker stopped before each of its calls
	$(BIN)/python -m tests.faults.many
	$(BIN)/python -m tests.faults.pauses

browser: ## Install Chromium for the tests of the console, where apt-get and root are at hand
	@test -x /usr/bin/chromium && exit 0; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
		&& exit 0; fi; \
	echo "no Chromium at /usr/bin/chromium, and it could not be installed: the console's browser tests are skipped" >&2

pictures: $(READY) ## Take the pictures of the documentation in Chromium (Debian's package chromium)
	$(BIN)/python -m tests.console.pictures

lint: $(READY) ## Check style, formatting and types
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache >$(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }
	$(BIN)/codespell $$(git ls-files '*.py' '*.md' '*.yml' '*.toml' 2>/dev/null)

format: $(READY) ## Format the code
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

lock: ## Pin the requirements anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --no-header requirements.in -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --no-header -c requirements.txt \
		requirements-dev.in -o requirements-dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --no-header requirements-peers.in \
		-o requirements-peers.txt

clean: ## Remove what the targets above made, but not the data of a local cloud
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf spark-warehouse metastore_db derby.log landfall/validation/prefilter/kernel/_kernel.*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
