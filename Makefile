# Every target sets up what it needs. Only Python 3.11 or newer and make have to be there.
#
#   make demo     everything on one machine, with sign-in links
#   make test     the fast suite: real Postgres, Valkey and browser (WORKERS=8 with 8 cores)
#   make lint     format, rules, import contracts, types, templates
#   make chaos    faults and attacks, and the whole job with a real SFT model
#   make bench    speed, as ratios measured side by side
#   make fuzz     inputs that nobody thought of, until Ctrl-C or for FUZZ_SECONDS
#   make fuzz-queue  hundreds of lives of the queue, until one goes wrong

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PORT ?= 8000
# Of the fast suite; each takes a core, and 2 GB of memory.
WORKERS ?= 2
# Pinned by version, not by hash: the CPU build and the default build differ. Give
# pip's options here to choose one: make install TORCH="OPTIONS torch==2.13.0"
TORCH ?= torch==2.13.0
export FUZZ_SECONDS
# Hundreds of processes start in the tests: each would compile the whole project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test lint chaos bench fuzz fuzz-queue browser lock
.DEFAULT_GOAL := install

install: $(STAMP)

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Rankwell needs Python 3.11 or newer; $(PYTHON) is older. Set PYTHON=…" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

demo: install
	$(BIN)/python manage.py demo --port $(PORT)

browser: install
	$(BIN)/python -m tests.browser

# Threads of torch that wait must leave the cores to the others.
PYTEST = OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest
test: install browser
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/python manage.py check
	$(BIN)/python manage.py makemigrations --check --dry-run
	git ls-files -z -- 'templates/*.html' | xargs -0 $(BIN)/djade --target-version 5.2 --check

# First what may run side by side, and mostly waits: each kills servers and processes of
# its own. Then by itself what measures how long something takes.
# make chaos ONLY=tests/chaos/test_killed_web.py
CHAOS = $(PYTEST) -o addopts=--import-mode=importlib --durations=0 --durations-min=1
ALONE := $(addprefix tests/chaos/test_,killed_database.py timing_of_refusals.py \
  costly_texts.py)
chaos: install browser
ifdef ONLY
	$(CHAOS) $(ONLY)
else
	failed=0; \
	$(CHAOS) tests/chaos $(addprefix --ignore=,$(ALONE)) \
	  -n 3 --dist loadfile --no-loadscope-reorder || failed=1; \
	$(CHAOS) $(wildcard $(ALONE)) || failed=1; \
	exit $$failed
endif

# make bench ONLY="cycle first_key"
bench: install browser
	$(BIN)/python -m tests.benchmarks $(ONLY)

# make fuzz ONLY=rendering FUZZ_SECONDS=600
fuzz: install
	$(BIN)/python -m tests.fuzz $(ONLY)

# Round after round, each of another 300 lives of the queue, until one goes wrong.
fuzz-queue: install
	while :; do \
	  $(BIN)/python -m pytest tests/ranking/test_queue_machine.py \
	    --hypothesis-profile=long -o timeout=0 || exit 1; \
	done

# Renews the lock files from pyproject.toml; commit what changes.
TORCH_ONLY := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas \
  nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft \
  nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
  nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-header $(addprefix --no-emit-package ,$(TORCH_ONLY)) pyproject.toml

lock: install
	$(COMPILE) --all-extras --output-file requirements.lock
	$(COMPILE) --constraints requirements.lock --output-file requirements-web.lock
	$(COMPILE) --extra train --constraints requirements.lock --output-file requirements-train.lock
