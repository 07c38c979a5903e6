# make demo    a dataset, a study and its table, from nothing but Python 3.11+ and make
# make ui      the study in the browser
# make test    the fast tests           make test-slow   the rest
# make check   lint, format, types      make bench       what the federation costs
# make bench-peers   the published cases of FATE and SecretFlow
# make bench-kills   studies in deployment whose processes are killed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := data/demo
CREDIT := data/default_credit
# Training seeds of the demo; each takes three minutes.
SEEDS ?= 1
# Small matrices: more threads wait for each other longer than they work.
export OMP_NUM_THREADS ?= 1

.PHONY: demo ui test test-slow check bench bench-peers bench-kills clean

demo: $(DEMO)/dataset.toml
	$(BIN)/siloscore compare --data $(DEMO) --seeds $(SEEDS)

ui: $(VENV)/installed
	$(BIN)/siloscore ui

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile

check: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(DEMO)/dataset.toml
	$(BIN)/python -m experiments.benchmarks.round_trips --data $(DEMO)
	$(BIN)/python -m experiments.benchmarks.alignment
	$(BIN)/python -m experiments.benchmarks.reading
	$(BIN)/python -m experiments.benchmarks.secure_sums
	$(BIN)/python -m experiments.benchmarks.serving
	@if [ -d $(CREDIT) ]; then set -x; $(BIN)/python -m experiments.benchmarks.boosting --data $(CREDIT) \
		--test-ids $(CREDIT)/test_ids.csv --store sqlite:///mlflow.db; \
		else echo "Skipped: the credit-card data of docs/results.md are not in $(CREDIT)."; fi
	$(BIN)/python -m experiments.benchmarks.boosting --rows 10000 30000 100000 300000 --columns 5 20 80 --trees 3 \
		--set boosting.ahead=none --set boosting.precision=8 --figure docs/images/boosting-cost.png --store sqlite:///mlflow.db

bench-peers: $(VENV)/installed-dev
	$(BIN)/python -m experiments.benchmarks.peers --figure docs/images/peers-cost.png --store sqlite:///mlflow.db

bench-kills: $(VENV)/installed-dev
	$(BIN)/python -m experiments.benchmarks.kills --out kills.json

$(DEMO)/dataset.toml: | $(VENV)/installed
	$(BIN)/siloscore generate --truth --out $(DEMO)

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "SiloScore needs Python 3.11 to 3.13; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO)
