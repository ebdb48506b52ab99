# Everything here works in a fresh clone with Python 3.11+ and make: the first target makes .venv.
#
#   make demo PYTHON=python3.12                                  another interpreter
#   make test PIP_EXTRA="--extra-index-url https://download.pytorch.org/whl/cpu"
#                                                                the small torch without CUDA (0.2 GB, not 3 GB)

PYTHON ?= python3
VENV ?= .venv
PIP_EXTRA ?=
OUT ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
SECONDS ?= 60
SEED ?= $(shell date +%s)

BIN := $(VENV)/bin
READY := $(VENV)/.installed
LAYOUT := .cache/layout

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz check bench-demo bench-priors bench-optimizers bench-rewards bench-fronts bench-estimators bench-learning bench-speed bench-scaling bench-reliability bench-pmo bench-proposals bench-gpu pmo-classifiers audit tables reference format layout lint-docker prove-docker constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make the environment in .venv (the other targets do it when needed)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11 to 3.13: name one, as in  make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## Design drug-like molecules: 3,000 oracle calls, a few minutes on two cores
	$(BIN)/moldesign optimize druglike --budget 3000 --seed 0 -o $(OUT)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: $(READY) ## Feed damaged files to every reader (SECONDS=60, SEED=...); what it finds goes to runs/fuzz
	$(BIN)/python tests/fuzz/readers.py --seconds $(SECONDS) --seed $(SEED) --out runs/fuzz

check: $(READY) lint-docker layout ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(LAYOUT) && $(abspath $(BIN))/mypy --config-file "$(CURDIR)"/pyproject.toml --cache-dir "$(CURDIR)"/.mypy_cache
	cd $(LAYOUT) && $(abspath $(BIN))/lint-imports --no-logo --config "$(CURDIR)"/pyproject.toml --cache-dir "$(CURDIR)"/.cache/imports

format: $(READY) ## Put the code in the one format, mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# cli/, data/ and models/ stand beside moldesign/ here and inside it when installed. Types and import rules are about
# the installed names, so they are checked on links laid out that way: moldesign/cli/app.py in a message is cli/app.py.
layout:
	@rm -rf $(LAYOUT)
	@mkdir -p $(LAYOUT)/moldesign
	@ln -s "$(CURDIR)"/moldesign/* $(LAYOUT)/moldesign/
	@ln -s "$(CURDIR)"/cli $(LAYOUT)/moldesign/cli
	@ln -s "$(CURDIR)"/data $(LAYOUT)/moldesign/corpora
	@ln -s "$(CURDIR)"/models $(LAYOUT)/moldesign/priors
	@ln -s "$(CURDIR)"/tests $(LAYOUT)/tests

bench-demo: $(READY) ## The demo over five seeds, into docs/results/demo.json, and without search (half an hour)
	$(BIN)/python -m moldesign.benchmarks.demo --out docs/results/demo.json
	$(BIN)/python -m moldesign.benchmarks.demo --estimator dap --out docs/results/demo_dap.json
	$(BIN)/python -m moldesign.benchmarks.demo --estimator reinforce --out docs/results/demo_reinforce.json

bench-priors: $(READY) ## Measure the shipped priors anew, into runs/card (half an hour)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt -e '.[dev,metrics]'
	mkdir -p runs/card
	$(BIN)/moldesign corpora prepare chembl_sample zinc250k --no-stereo --force -o runs/card/druglike.smi.xz
	$(BIN)/python -m moldesign.benchmarks.prior --prior models/druglike.safetensors --corpus runs/card/druglike.smi.xz \
	  --out runs/card --fcd
	$(BIN)/python -m moldesign.benchmarks.prior --prior models/zinc250k.safetensors --out runs/card --fcd

bench-optimizers: $(READY) ## Muon against AdamW, into docs/results/optimizers.json (15 minutes)
	$(BIN)/python -m moldesign.benchmarks.optimizers --out docs/results/optimizers.json

bench-rewards: $(READY) ## What every reward costs and what the worker pool gains, into docs/results/rewards.json (12 minutes)
	$(BIN)/python -m moldesign.benchmarks.rewards --seconds 5 --repeats 9 --out docs/results/rewards.json

bench-fronts: $(READY) ## Hypervolume that each way of several objectives finds, into docs/results/fronts.json (an hour)
	$(BIN)/python -m moldesign.benchmarks.fronts --out docs/results/fronts.json --plot docs/fronts.png

bench-estimators: $(READY) ## Bias, variance and signal of the gradient estimators, into docs/results/estimators.json (10 minutes)
	$(BIN)/moldesign benchmark estimators --estimates 4000 --signal 60 --output docs/results/estimators.json \
	  --plot docs/estimators.png --force

bench-learning: $(READY) ## Learning curves of every estimator, into docs/results/learning (2 hours; goes on where it was)
	$(BIN)/python -m moldesign.benchmarks.learning --jobs 2 --out docs/results/learning --plot docs/learning.png

bench-speed: $(READY) ## Speed beside smiles-rnn and beside the machine's limits, into docs/results/speed.json (20 minutes)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt -e '.[dev,peers]'
	$(BIN)/moldesign benchmark speed --peers --output docs/results/speed.json --plot docs/speed.png --force

bench-scaling: $(READY) ## What a call costs after 1,000, 10,000 and 100,000 of them, into docs/results/scaling.json (15 minutes)
	$(BIN)/python -m moldesign.benchmarks.scaling --out docs/results/scaling.json

bench-reliability: $(READY) ## Kill runs at 100 random moments, fail every write, score a million molecules (20 minutes)
	MOLDESIGN_TEST_EVERY_NTH_WRITE=1 $(BIN)/python -m pytest -q tests/rl/test_resume.py -k write_fails
	$(BIN)/python -m moldesign.benchmarks.reliability --out docs/results/reliability.json

# In an environment of its own: the classifiers are pickles that only old versions read rightly.
pmo-classifiers: ## Convert the classifiers of drd2, gsk3b and jnk3 for the benchmark, into the cache folder (1 minute)
	$(PYTHON) -m venv .cache/pmo
	.cache/pmo/bin/python -m pip install --disable-pip-version-check --quiet scikit-learn==1.2.2 numpy==1.26.4 skl2onnx==1.20.0 onnx==1.23.2 rdkit
	.cache/pmo/bin/python -m pip download --disable-pip-version-check --quiet --no-deps --dest .cache/pmo molscore==1.9.5
	.cache/pmo/bin/python examples/pmo/convert_classifiers.py .cache/pmo/molscore-1.9.5-py3-none-any.whl \
	  data/zinc250k.smi.xz data/chembl_sample.smi.xz --out "$${MOLDESIGN_HOME:-$$HOME/.cache/moldesign}/pmo"

# jemalloc, where it is installed, spares a quarter of a search's time (docs/optimize.md).
bench-pmo: export LD_PRELOAD = $(firstword $(wildcard /usr/lib/*/libjemalloc.so.2))
bench-pmo: $(READY) ## Sample efficiency: PMO's tasks with each preset, into docs/results/pmo (hours)
	$(BIN)/moldesign benchmark pmo --tasks all --seeds 0 --jobs 2 --preset efficient --out docs/results/pmo

bench-proposals: $(READY) ## Molecules a second of each operator of a search, into docs/results/proposals.json (5 minutes)
	$(BIN)/python -m moldesign.benchmarks.proposals --out docs/results/proposals.json

bench-gpu: $(READY) ## Speed on the first CUDA device, into docs/results/gpu.json (10 minutes)
	$(BIN)/moldesign benchmark gpu --output docs/results/gpu.json --force

# The tools stand in an environment of their own: what they need is none of what they look at.
audit: $(READY) ## Known vulnerabilities, an SBOM into dist/, licences of all dependencies into docs/licences.md
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt -e '.[dev,metrics,peers]'
	@test -x .cache/audit/bin/python || $(PYTHON) -m venv .cache/audit
	$(BIN)/python -c "import tomllib; from pathlib import Path; \
	  print(*tomllib.loads(Path('pyproject.toml').read_text())['project']['optional-dependencies']['audit'], sep='\n')" \
	  > .cache/audit/requirements.txt
	.cache/audit/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -r .cache/audit/requirements.txt
	$(BIN)/python -m moldesign.benchmarks.audit --tools .cache/audit/bin

tables: $(READY) ## Count ring systems and environments in the shipped corpora anew, into data/ (8 minutes)
	$(BIN)/python -c "from pathlib import Path; from moldesign.language.occurrences import COUNTED, make_table; \
	  [make_table(Path('data'), what) for what in COUNTED]"

reference: $(READY) ## Make docs/rewards.md anew from the catalogue
	$(BIN)/python -m moldesign.rewards.reference > .cache/rewards.md
	mv .cache/rewards.md docs/rewards.md

lint-docker: $(READY) ## Lint the Dockerfile
	$(BIN)/hadolint Dockerfile

prove-docker: ## Replay the Dockerfile in a chroot (root, Debian; several minutes)
	docker/prove.sh

# The newest releases that the metadata allows, with local version suffixes and the CUDA packages of torch left out,
# so that one file serves CPU and CUDA builds.
constraints: ## Remake constraints.txt from the newest releases (Python 3.11)
	rm -rf .cache/constraints
	$(PYTHON) -m venv .cache/constraints
	.cache/constraints/bin/python -m pip install --quiet $(PIP_EXTRA) '.[audit,dev,metrics,peers]'
	{ sed -n '/^#/p' constraints.txt; \
	  .cache/constraints/bin/python -m pip freeze --all --exclude moldesign-rl --exclude pip | \
	  sed 's/+.*//' | grep -v -i -E '^(nvidia|cuda|triton)'; } > .cache/constraints.txt
	mv .cache/constraints.txt constraints.txt
	rm -rf .cache/constraints build

clean: ## Remove the environment, caches and build leftovers (not runs/)
	rm -rf $(VENV) .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
