.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
# Ends with make, however make ends.
RUN := setpriv --pdeathsig TERM $(PY)
# Whatever the environment leaves open comes from servers in WAYSTATION_DATA.
export WAYSTATION_EMBEDDED ?= on
# Of random lives; they begin with the moment, and say so.
ifndef SEED
SEED := $(shell date +%s)
endif

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

demo: .venv/up-to-date ## The whole story, then everything stays up; ONCE=1 ends it
	@$(RUN) -m project.demo

up: .venv/up-to-date ## Everything in the foreground, until Ctrl-C
	@$(RUN) -m project.stack

test: .venv/up-to-date ## The whole suite, on servers of its own; T=path narrows it
	$(RUN) -m pytest -n 2 --dist worksteal $(T)

soak: .venv/up-to-date ## Many more random lives, every seeded bug, filters; SEED=…
	$(RUN) -m tests.oracle.run --runs 2000 --steps 50 --faults --seed $(SEED)
	ORACLE_BUGS=all $(RUN) -m pytest -n 2 --dist worksteal tests/oracle/test_seeded_bugs.py
	$(RUN) -m tests.replication.pulling.run --runs 1000 --faults --seed $(SEED)
	PULLING_BUGS=all PULLING_KILLS=all $(RUN) -m pytest -n 2 --dist worksteal -rP tests/replication/pulling
	$(RUN) -m tests.uploads.run --runs 1000 --faults --seed $(SEED)
	UPLOADS_BUGS=all $(RUN) -m pytest tests/uploads
	$(RUN) -m tests.uploads.soak --seed $(SEED)
	$(RUN) -m tests.oracle.filter_soak --pairs 100000 --seed $(SEED)

bench: .venv/up-to-date ## Figures per CPU-second; ONLY=delta_10, JSON=1
	@$(RUN) -m benchmarks

check: format lint types imports schema deploy test ## Everything CI runs

format: .venv/up-to-date ## Formatting
	$(PY) -m ruff format --check .

lint: .venv/up-to-date ## Lint rules
	$(PY) -m ruff check .

types: .venv/up-to-date ## mypy, strict
	$(PY) -m mypy .

imports: .venv/up-to-date ## Who may import whom
	.venv/bin/lint-imports

schema: .venv/up-to-date ## Models and migrations agree
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

deploy: .venv/up-to-date ## Django's own list for production
	WAYSTATION_PUBLIC_URL=https://waystation.example $(PY) manage.py check --deploy --fail-level WARNING

.venv/up-to-date: requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 is needed.")'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

.PHONY: help demo up test soak bench check format lint types imports schema deploy
