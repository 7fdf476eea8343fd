# Everything a user does by one word. Works from any folder: make -C "/path/to the/repository" reproduce
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
# the environment's own programs first, whether or not it is activated
export PATH := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
READY := $(VENV)/ready

.PHONY: help reproduce estimate smoke sweep export push-student keep browser test test-all bench lint profile pull clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+: .*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

reproduce: $(READY)  ## run what is not up to date, from the questions to the report
	@python -m lib.inputs && python -m dvc repro && python -m lib.report readme claims provenance && echo "report: $(CURDIR)/reports/index.html"

estimate: $(READY)  ## [P=name] what the teacher's answers will cost by params.yaml, or by a profile; nothing is sent
	@python -m lib.estimate $(if $(P),"params/$(P).yaml")

smoke: $(READY)  ## the whole pipeline on a small scale, in a copy under scratch/ that leaves your results alone
	@bash .ci/smoke

sweep: $(READY)  ## P=name: a profile's whole pipeline in a copy that is kept; its reports to reports/sweeps/name
	@bash .ci/sweep "$(P)"

export: $(READY)  ## RUN=id: a run's student as a folder that stands alone, with a model card; without RUN: the runs there are
	@python -m lib.export "$(RUN)"

push-student: $(READY)  ## RUN=id REPO=user/name [DRY=1]: export, then send to the hub (log in once: hf auth login)
	@python -m lib.export "$(RUN)" --push "$(REPO)" $(if $(DRY),--dry-run)

browser: $(READY)  ## scratch/browser.html: the rationale browser over all questions; the one in reports/ has a sample
	@python -m lib.report browser

test: $(READY)   ## all tests but the slow ones
	@python -m pytest -m "not slow"

test-all: $(READY)  ## all tests
	@python -m pytest

bench: $(READY)  ## speed of the teacher's client and store, of scoring, training and writing, against bounds; on a quiet machine, half an hour
	@python benchmarks/check.py

lint: $(READY)   ## code style; notebooks without outputs; dvc.yaml against what the notebooks use
	@python -m ruff check . && python -m ruff format --check .
	@python -m nbstripout --verify --keep-id notebooks/*.ipynb || { echo "to take the outputs out: $(VENV)/bin/python -m nbstripout --keep-id notebooks/*.ipynb"; false; }
	@python -m lib.stages

profile: $(READY)  ## P=name [SET="a.b=value ..."]: put params/name.yaml in place of params.yaml
	@python -m lib.profile "$(P)" $(SET)

pull: $(READY)   ## fetch the default profile's teacher rows and headline student
	@python -m dvc pull

keep: $(READY)   ## stores and runs into DVC's cache too, so that dvc push, dvc pull and queued experiments have them
	@bash .ci/keep

clean:           ## delete what is under way and what can be made again at no cost; never data/ or reports/
	@rm -rf scratch reports/_failed .pytest_cache .ruff_cache .hypothesis && find lib tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v[:2] >= (3, 11) else f"Python 3.11 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}; make PYTHON=python3.11 ...")'
	@echo "making the environment in $(VENV) (once; some minutes)"
	@$(PYTHON) -m venv "$(VENV)"
	@python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch "$(READY)"
