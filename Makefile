# make demo   creates .venv, installs gnntrack into it, and runs the main job end to end
# make test   installs and passes the checks and the tests
# make docs   makes the site of the documentation: docs/_build/html/index.html
# WORKERS=4 before "make test" runs the tests in 4 processes, 2 by default.
# TORCH="torch==2.14.1 torchvision==0.29.1" or PYTHON=python3.12 before either choose another build of torch or another Python.

TORCH ?= torch torchvision
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)

# WORKERS=0 runs the tests in one process. The tests of a file share expensive fixtures, so a file is not divided.
WORKERS ?= 2
SPREAD = -n $(WORKERS) --dist loadfile

# without modules that need packages of extras, or Qt
DOCTESTS = --doctest-modules gnntrack segmenters --ignore segmenters/cellpose.py --ignore segmenters/stardist.py \
	--ignore gnntrack/napari/jobs.py --ignore-glob 'gnntrack/napari/*_widget.py'

# with bytecode on disk, each of the many processes that tests start takes a second less
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
STAMP := .venv/installed
DOCS_STAMP := .venv/installed-docs
TOOLS := .venv-tools/bin
TOOLS_STAMP := .venv-tools/installed

# traccuracy requires an older click than other packages; the tests of its readers do not use its command line
READERS := "traccuracy>=0.4.3" "pylapy>=1"

.PHONY: demo docs test test-all fast-tests all-tests lint doctest bench estimates fuzz fuzz-guided kills kills-resume scale audit sbom install clean

demo: $(STAMP)
	@$(BIN)/gnntrack demo --out gnntrack-demo

# side by side: lint, of which mypy takes half a minute and one core, and the tests with the doctests
test: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 lint fast-tests

test-all: $(STAMP)
	@$(MAKE) --no-print-directory -j 2 lint all-tests

fast-tests: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" $(SPREAD) tests $(DOCTESTS)

all-tests: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/pytest $(SPREAD) tests $(DOCTESTS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

doctest: $(STAMP)
	@$(BIN)/pytest -q $(DOCTESTS)

# warnings are errors: a page in no table of docs/README.md, a link to nothing, a notebook that fails
docs: $(DOCS_STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -n -q -c docs -b html . docs/_build/html
	@echo "the documentation is in docs/_build/html/index.html"

bench: $(STAMP)
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/speed.py

# each command is killed at 20 random moments and run again; a quarter of an hour
kills: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kills.py

kills-resume: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kills.py --resume

# estimates of gnntrack info against runs of gnntrack track; half an hour
estimates: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/estimates.py

# time, memory and accuracy of gnntrack on 10,000 to 10,000,000 cells; hours, and 10 GB of disk in TMPDIR
scale: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/scale.py --disk --peers none

# COUNT=100000 before "make fuzz" reads as many damaged inputs
COUNT ?= 20000

fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py --count $(COUNT)

# needs atheris (pip install atheris), else it says so; SECONDS_EACH=600 runs each reader for ten minutes
SECONDS_EACH ?= 60

fuzz-guided: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz_guided.py --seconds $(SECONDS_EACH)

# known vulnerabilities of the installed packages; needs a network, and is no part of the tests for that reason
audit: $(STAMP) $(TOOLS_STAMP)
	@$(TOOLS)/pip-audit --skip-editable --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
		|| { echo "pip-audit lists vulnerable packages above, or could not reach its database: it needs a network" >&2; exit 1; }

# the installed packages with versions and licences, as a bill of materials (CycloneDX JSON)
sbom: $(STAMP) $(TOOLS_STAMP)
	@$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.cdx.json $(BIN)/python
	@echo "the bill of materials is sbom.cdx.json"

install: $(STAMP)

# The stamp is newer than pyproject.toml as long as nothing has to be installed anew. torch comes first and by
# itself, so that TORCH is kept by what depends on it.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "gnntrack needs Python 3.11 or later; none was found (set PYTHON=...)" >&2; exit 2; }
	@echo "installing gnntrack into .venv; minutes the first time" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python -m pip install --quiet $(TORCH)
	@$(BIN)/python -m pip install --quiet -e ".[test]"
	@$(BIN)/python -m pip install --quiet --no-deps $(READERS)
	@touch $@

# tools that look at .venv from outside, so that they are not listed as a part of it
$(TOOLS_STAMP):
	@test -x $(TOOLS)/python || $(PYTHON) -m venv .venv-tools
	@$(TOOLS)/python -m pip install --quiet pip-audit cyclonedx-bom
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet -e ".[docs]"
	@touch $@

clean:
	rm -rf .venv .venv-tools gnntrack-demo docs/_build sbom.cdx.json
