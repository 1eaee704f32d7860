# Every target works as the first command on a fresh clone: `.venv` is made when it is
# missing and remade when pyproject.toml or constraints.txt changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests side by side, each on one thread: two threads next to other load are slower than one.
# What is slow to make is shared by the workers (tests/shared_folder.py).
WORKERS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup demo test test-all coverage check bench wheel-test tables corpus operators refusals fuzz kill-runs picture checkpoints rehearse quantized-accuracy check-sparse test-board test-device device-faults golden clean

help:
	@sed -n 's/^\([a-z%-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: $(STAMP) ## make .venv with everything in it (about 80 s, 2.5 GB)

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV)
	@touch $@

demo: setup ## train FunnelNet on synthetic heart sounds, export, check, predict, time it
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: setup ## the tests that CI runs
	$(PYTEST)

# ONLY=tests/core: these alone.
test-all: setup ## every test, the slow ones too
	$(PYTEST) -m "" $(ONLY)

coverage: setup ## the tests that CI runs, and which lines and branches they do not reach
	$(PYTEST) --cov

check: setup ## ruff, ruff format, mypy --strict
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: setup ## interleaved timings on this machine: the front end, training on images
	$(BIN)/python benchmarks/front_end.py && $(BIN)/python benchmarks/image_training.py \
	  && $(BIN)/python benchmarks/masked_step.py

wheel-test: setup ## build the wheel and use it alone in an empty environment
	PYTHON="$(PYTHON)" BUILD="$(CURDIR)/$(BIN)/python" sh tools/wheel_test.sh

tables: setup ## regenerate the tables of docs/models.md
	$(BIN)/python -m tinyml.pipeline.models && $(BIN)/python tools/models_page.py

corpus: setup ## export every network of the corpus and write docs/corpus.md (5-10 min)
	$(BIN)/python tools/corpus_table.py

operators: setup ## export every operator in every format and precision: docs/operators.md (1 h, resumable)
	PYTHONPATH=tools $(BIN)/python -m operators

refusals: setup ## write docs/refusals.md: the messages for networks that cannot be exported (8 min)
	$(BIN)/python tools/refusals.py

# SECONDS=30: for that long, instead of FILES; SEED: other files.
FILES ?= 10000
SEED ?= 0
fuzz: setup ## 10,000 broken files against every reader: a result or one line, within limits
	$(BIN)/python tools/fuzz --seed $(SEED) $(if $(SECONDS),--seconds $(SECONDS),--files $(FILES))

# KILLS: another number; SEED: other moments.
KILLS ?= 200
kill-runs: setup ## 200 random kills of train, prune, export, bench, compare: nothing lost or left (20 min)
	$(BIN)/python tools/kill_runs --kills $(KILLS) --seed $(SEED)

picture: setup ## redraw README's scalogram
	$(BIN)/python tools/readme_picture.py

# BUDGET: minutes on all cores. The first call for a folder fixes the length; the same
# command continues what was stopped.
BUDGET ?= 60
reproduce-%: setup ## train what a paper's claim needs: lottery, rewinding, sparse, tinynet
	$(BIN)/python tools/reproduce $* --budget $(BUDGET)

checkpoints: setup ## train the dense and the 90% sparse MobileNet of examples/checkpoints (fixed seed, CIFAR-10)
	$(BIN)/python tools/reproduce sparse --budget 60 --only seed0/dense seed0/sparse90 --copy-to examples/checkpoints

rehearse: setup ## every path of reproduce-% once, about a minute each, without data
	$(BIN)/python tools/reproduce --rehearse

quantized-accuracy: setup ## how much accuracy quantization costs: docs/evidence/quantized.md (1 h)
	OMP_NUM_THREADS=1 $(BIN)/python tools/quantized_accuracy

check-sparse: setup ## the sparse lint against LiteRT on an emulated board and in node (5-10 min)
	$(BIN)/python tools/check_sparse $(if $(RECORD),--record) && $(BIN)/python tools/check_sparse --foreign

# BOARDS="rpi4" SYSTEMS="bookworm": only these; BUNDLES: your own instead of a small network's.
test-board: setup ## bundles on emulated Raspberry Pis: parity and instructions, no times (3-10 min)
	PYTHONPATH=tools $(BIN)/python -m check_board $(if $(BOARDS),--boards $(BOARDS)) \
	  $(if $(SYSTEMS),--systems $(SYSTEMS)) $(if $(BUNDLES),--bundles $(BUNDLES))

# BOARDS="rpi4 phone" PRECISIONS="int8": only these.
test-device: setup ## every command that uses a board, on emulated Pis over ssh and a phone over adb (10 min)
	PYTHONPATH=tools:tests $(BIN)/python -m test_device $(if $(BOARDS),--boards $(BOARDS)) \
	  $(if $(PRECISIONS),--precisions $(PRECISIONS))

device-faults: setup ## write docs/device-faults.md from the rows that the tests of faults record
	PYTHONPATH=tests $(BIN)/python tools/device_faults_page.py

golden: setup ## regenerate the golden manifest of the tests
	$(BIN)/python tools/golden_bundle.py

clean: ## remove .venv, caches, builds and what make demo made; runs/ and other outputs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	rm -rf demo/run demo/bundle demo/recording.wav demo/recording.png demo/bundle.bench.json demo/bundle.report.html
	@rmdir demo 2>/dev/null || true
