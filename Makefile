# Every target does its own set-up: Python 3.11 or newer, make and pip are enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done || echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install -qq --disable-pip-version-check
# Exact versions with hashes, the build backend's among them, from whatever index pip is configured for.
LOCKS := .requirements
LOCKED := $(PIP) --require-hashes -r $(LOCKS)/build.txt
PRODUCT := $(PIP) --no-build-isolation
ARGS ?=

# What Python compiles is kept: the tests start hundreds of processes. Empty counts as not set.
test test-long test-lowest: export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-lowest lint audit lock format bench fuzz peers rivals reasoner second-seed router prior probe public clean
.NOTPARALLEL:

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Real prompts through gateway and engine, one table of what each policy bought (ARGS="--quick", "--keep")
	@$(RUN) -m gateway.commands.demo $(ARGS)

test: $(VENV)/.dev ## The tests, without the soak parts (ARGS="tests/helm -k schema" for some, "--random-order" shuffles)
	@$(RUN) -m tests.vllm_env
	$(RUN) -m pytest -m "not long" $(ARGS)

test-long: $(VENV)/.dev ## The soak parts, which CI runs as well
	@$(RUN) -m tests.vllm_env
	$(RUN) -m pytest -m long $(ARGS)

# Every kind of requirement is used by some of these: HTTP and SDKs, training and tables, the command line.
LOWEST := tests/gateway/test_chat.py tests/gateway/test_keys.py tests/router_model/test_artifact.py tests/router_model/test_bad_tables.py

test-lowest: $(VENV)/.dev ## Quick tests with the lowest versions that pyproject.toml allows (ARGS="tests/gateway" for others)
	@$(RUN) -m tests.lowest
	.venv-lowest/bin/python -m pytest $(or $(ARGS),$(LOWEST))

lint: $(VENV)/.dev ## Style, types, the direction of imports, the house rules, and whether what is installed fits together
	@$(RUN) -m pip check
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m tests.house

# Strict: a package that the advisories are silent about, as all are where only an index can be reached, was not audited.
audit: $(VENV)/.dev ## Known vulnerabilities of all that is installed, by PyPI's advisories; fails where these cannot be had
	@$(PRODUCT) --editable '.[audit]'
	@$(RUN) -m pip freeze --exclude-editable > $(VENV)/audited.txt
	@$(RUN) -m pip_audit --strict --no-deps --disable-pip --progress-spinner off -r $(VENV)/audited.txt || \
	    { echo "not audited, or not clean: above is a vulnerability, or why PyPI's advisories could not be had"; exit 1; }

lock: $(VENV)/.dev ## Pin anew what pyproject.toml requires, with hashes, in .requirements/ (ARGS=--upgrade for the newest)
	@$(RUN) -m tests.lock $(ARGS)

format: $(VENV)/.dev ## Put the code into the style that lint asks for
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(VENV)/.dev ## Mixed load (thinking tokens, TTFT, goodput), then cost and fidelity beside what is installed (ARGS="--users 16 --seconds 30")
	@$(RUN) -m loadtests $(ARGS)
	@$(RUN) -m loadtests peers --rounds 3 --requests 300 --stream-seconds 4

peers: $(VENV)/.dev ## Install other gateways into .peers/ (1.3 GB) and measure all side by side (ARGS="--only litellm --json FILE")
	@$(RUN) -m loadtests peers --install $(ARGS)

rivals: $(VENV)/.dev ## Install other local routers into .peers/ (7 GB) and judge all on the suite (ARGS="--router DIR --json FILE")
	@$(RUN) -m tests.suite.rivals --install $(ARGS)

fuzz: $(VENV)/.fuzz ## Every parser, guided by coverage, until one breaks or time is up (ARGS="--seconds 60"; Linux)
	@$(RUN) -m tests.fuzz $(ARGS)

# Prompts, seeds and folders of what ships; `make reasoner second-seed` and `make router` make all of it anew.
REASONER := runs/reasoner
ROUTER := runs/router
HELD_OUT ?= 2400
ROUTER_PROMPTS ?= 4000
JUDGED_PROMPTS ?= 1000
PUBLIC ?= ../shared/data/public_outcomes.parquet
KINDS ?= ../shared/data/kinds

reasoner: $(VENV)/.train ## Retrain the tiny reasoner and its split pair, and measure them (about 75 minutes of one core)
	$(RUN) -m router_model.reasoner --out $(REASONER) $(ARGS)
	$(RUN) -m router_model.tasks --for all --n $(HELD_OUT) --seed 9 --out $(REASONER)/held-out.jsonl
	$(VENV)/bin/thinkgate collect --weights $(REASONER) --tasks $(REASONER)/held-out.jsonl --out $(REASONER)/outcomes.parquet --hold-out 0 --force
	$(RUN) -m router_model.reasoner.card --data $(REASONER)/outcomes.parquet --weights $(REASONER)

second-seed: $(VENV)/.train ## After `make reasoner`: a second seed of its branches, and the card that compares both
	$(RUN) -m router_model.reasoner --out $(REASONER)/seed-1 --seed 1 --base $(REASONER)/base $(ARGS)
	$(VENV)/bin/thinkgate collect --weights $(REASONER)/seed-1 --tasks $(REASONER)/held-out.jsonl --out $(REASONER)/seed-1.parquet --hold-out 0 --force
	$(RUN) -m router_model.reasoner.card --data $(REASONER)/outcomes.parquet --data $(REASONER)/seed-1.parquet --weights $(REASONER)

router: $(VENV)/.dev ## Collect outcomes of the shipped models, train the router, judge it on new phrasings and new families
	mkdir -p $(ROUTER)
	$(RUN) -m router_model.tasks --for router --n $(ROUTER_PROMPTS) --seed 1 --out $(ROUTER)/train.jsonl
	$(RUN) -m router_model.tasks --for new-phrasings --n $(JUDGED_PROMPTS) --seed 2 --out $(ROUTER)/new-phrasings.jsonl
	$(RUN) -m router_model.tasks --for new-families --n $(JUDGED_PROMPTS) --seed 3 --out $(ROUTER)/new-families.jsonl
	for name in train new-phrasings new-families; do \
	    $(VENV)/bin/thinkgate collect --tasks $(ROUTER)/$$name.jsonl --out $(ROUTER)/$$name.parquet --hold-out 0 --force || exit 1; done
	$(VENV)/bin/thinkgate train --data $(ROUTER)/train.parquet --out $(ROUTER)/tiny --force
	for name in new-phrasings new-families; do for pair in "tiny tiny" "tiny-instruct tiny-thinking"; do set -- $$pair; \
	    $(VENV)/bin/thinkgate evaluate --router $(ROUTER)/tiny --data $(ROUTER)/$$name.parquet \
	        --no-think $$1/nothink --think $$2/think --html $(ROUTER)/$$name-$$2.html || exit 1; done; done

prior: $(VENV)/.dev ## Train the router for deployments without outcomes (PUBLIC=public_outcomes.parquet KINDS=kinds; six minutes)
	@test -n "$(PUBLIC)" || { echo "make prior PUBLIC=FILE: a table of public outcomes with sources and licences"; exit 2; }
	$(RUN) -m router_model.adapting --data $(PUBLIC) --kinds $(KINDS) --out router_model/artifacts/prior

# PROBED: an OpenAI-compatible server with log-probabilities and the name of its model, of another making than `tiny`.
PROBES := runs/probe
probe: $(VENV)/.dev ## Fit the generic probe to the shipped models and another (PROBED="http://127.0.0.1:8000/v1 smollm2")
	@test -n "$(PROBED)" || { echo 'make probe PROBED="URL MODEL": a chat model that gives log-probabilities'; exit 2; }
	mkdir -p $(PROBES)
	$(RUN) -m router_model.tasks --for all --n 500 --seed 12 --out $(PROBES)/tasks.jsonl
	$(VENV)/bin/thinkgate collect --tasks $(PROBES)/tasks.jsonl --out $(PROBES)/tiny.parquet --force
	set -- $(PROBED); $(RUN) -m router_model.adapting.probe_collect --url $$1 --model $$2 --n 550 --max-tokens 64 \
	    --out $(PROBES)/other.parquet
	$(RUN) -m router_model.adapting.probe_prior --data $(PROBES)/tiny.parquet --data $(PROBES)/other.parquet \
	    --out router_model/artifacts/generic-probe $(ARGS)

public: $(VENV)/.dev ## Judge the learner on outcomes of real models (PUBLIC=table.parquet), by what is left out
	mkdir -p $(ROUTER)
	judge() { name=$$1; left=$$2; weak=$$3; strong=$$4; shift 4; \
	    $(VENV)/bin/thinkgate evaluate --leave-out $$left --data $(PUBLIC) --no-think $$weak --think $$strong "$$@" \
	        --json $(ROUTER)/public-$$name.json --html $(ROUTER)/public-$$name.html; }; \
	o1="gpt-4o/nothink,gpt-4o-2024-08-06/nothink o1-mini/think,o1-mini-2024-09-12/think"; \
	o3="gpt-4o/nothink o3-mini/think,o3-mini/effort-medium"; \
	gpt="mixtral-8x7b-instruct/nothink gpt-4-1106-preview/nothink"; \
	judge o3-mini prompt $$o3 --dataset 'medagents/*' --dataset 'mip-*' && \
	judge o1-mini prompt $$o1 --dataset 'medagents/*' --dataset 'zeroeval/*' --dataset 'mip-*' && \
	judge mmlu task $$gpt --dataset 'routellm/mmlu*' && \
	judge reasoning-gym task llama-4-maverick/nothink deepseek-r1/think --dataset 'reasoning-gym-*' && \
	judge new-sets-o1-mini dataset $$o1 --dataset 'medagents/*' --dataset 'zeroeval/*' --dataset 'mip-*' && \
	judge new-sets-r1 dataset DeepSeek-V3/nothink DeepSeek-R1/think --dataset 'medagents/*' && \
	judge new-sets-gpt-4 dataset $$gpt --dataset 'routellm/*'

clean: ## Remove the environments, caches and build output
	rm -rf $(VENV) .venv-vllm .venv-lowest .peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each set of packages, renewed when pyproject.toml or its lock changes.
$(VENV)/.demo: pyproject.toml $(LOCKS)/build.txt $(LOCKS)/demo.txt | $(VENV)/.made
	@echo "installing Thinkgate into $(VENV) (under a minute on most machines)"
	@$(LOCKED) -r $(LOCKS)/demo.txt
	@$(PRODUCT) --no-deps --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(LOCKS)/build.txt $(LOCKS)/dev.txt | $(VENV)/.made
	@echo "installing Thinkgate and its development tools into $(VENV) (a minute or two)"
	@$(LOCKED) -r $(LOCKS)/dev.txt
	@$(PRODUCT) --no-deps --editable .
	@touch $@ $(VENV)/.demo

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "installing the fuzzer into $(VENV)"
	@$(PRODUCT) --editable '.[dev,fuzz]'
	@touch $@

$(VENV)/.train: $(VENV)/.demo
	@echo "installing Thinkgate with PyTorch into $(VENV) (a few minutes)"
	@$(PRODUCT) --editable '.[demo,train]'
	@touch $@

# Some distributions ship Python without ensurepip: there pip of the machine installs pip into the environment.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	    f"Thinkgate needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv $(VENV) || { \
	    $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(RUN) install pip; }
	@touch $@
