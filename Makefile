# make demo: fine-tune, evaluate and label the seed article.  make test: the tests but the slowest.  make docs: the site.  make check: every gate.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The CPU build this project is tested with; set TORCH=torch for the default build of your platform.
TORCH ?= torch==2.13.0

# Tests run side by side, one process a core, each with one thread, so that they do not fight over the cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadscope

.PHONY: demo test check lint types coverage docs clean
.DELETE_ON_ERROR:

$(BIN)/.runtime: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[report]'
	touch $@

$(BIN)/.develop: $(BIN)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(BIN)/.every: $(BIN)/.develop
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[every]'
	touch $@

demo: $(BIN)/.runtime
	$(BIN)/python scripts/train.py experiment=demo
	$(BIN)/python scripts/evaluate.py data=ahdath checkpoint=runs/demo/model calibration=false
	$(BIN)/python -m khabar.predict seeds --model runs/demo/model --output runs/demo/seed.jsonl --show
	@echo "The labelled article: runs/demo/seed.jsonl   The scores: runs/demo/evaluation-test/report.html"

test: $(BIN)/.develop
	$(PYTEST) -m 'not slow'

lint: $(BIN)/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.every
	$(BIN)/mypy

coverage: $(BIN)/.every
	$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

docs: $(BIN)/.every
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site: site/index.html"

check: lint types docs coverage

clean:
	rm -rf runs site .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
