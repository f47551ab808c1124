# The commands of this project. You need make, git, and Python 3.11 or newer with its venv module.
PYTHON ?= python3
INSTALL = $(PYTHON) stack/install.py
BIN = .venv/bin
UV = $(or $(shell command -v uv),$(BIN)/uv)
LOCK = $(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-emit-index-url --no-header $(ARGS)

.DEFAULT_GOAL = help
.PHONY: help run test test-tools chaos agents mutants check fix bench bench-usage bench-tool-calls bench-interactions bench-organisation bench-content-log bench-content-log-cpu bench-guards-cpu bench-long bench-rollups screenshots reference diagrams docs lock sbom wheel release messages python git gettext

# This list
help:
	@awk '/^# / { text = text substr($$0, 2); next } \
		/^[a-z-]+:/ && text { sub(/[.;:] .*$$/, "", text); sub(/:.*/, "", $$1); printf "make %-20s%s\n", $$1, text } \
		{ text = "" }' $(firstword $(MAKEFILE_LIST))

# Weir and everything it needs, on this machine: PORT=8000 HOST=127.0.0.1 DATA_DIR=.data
run: python
	@exec $(INSTALL) -- $(BIN)/python -m stack.up

# The suite, or a part: make test ARGS="tests/billing -x"; everything: make test ALL=1; what reaches
# the lines changed since the merge base: make test CHANGED=1, or since a commit: CHANGED=HEAD~3.
# Tests whose program is missing are skipped and counted; with ALL=1 they fail
test: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m pytest -n 3 $(if $(CHANGED),--changed $(CHANGED),$(if $(ALL),,--quick)) $(ARGS)

# The programs that tests drive, where they are missing: Chromium, nginx, Caddy, Pebble, Redis, curl,
# OpenSSL, Prometheus, systemd, Helm, and Node.js with the JavaScript clients; it asks before it uses sudo
test-tools: python
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.test_programs

# The slow tests: every byte offset, full sizes, 100 kills under load, and more examples
# of what is drawn at random; some: make chaos ARGS="tests/gateway"; an eighth of each: make chaos PART=3/8
chaos: python git
	@$(INSTALL) --dev
	@ALL=1 $(BIN)/python -m pytest -m "slow or hypothesis" --hypothesis-profile full \
		-n 2 $(if $(PART),--part $(PART)) $(ARGS)

# The coding agents themselves, from npm (1 GB), without a network, at models of each wire format; a
# quarter of an hour; some: make agents ARGS="tests/agents -k codex"
agents: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.test_programs.javascript
	@exec $(BIN)/python -m tests.agents $(ARGS)

# Plant small bugs in the code that decides about money and authority, and list those that no test
# notices: in the lines changed since the newest tag, else in the last 20 commits; since another
# commit: make mutants ARGS="--base HEAD~5"; in some files: ARGS="billing/credits/codes.py"; so many drawn
# from all of them, or from some folders: ARGS="--sample 500", ARGS="billing usage --sample 80"; it ends
# after an hour, or: ARGS="--minutes 10"
mutants: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m tests.mutants $(ARGS)

# Format, lint, types, imports between packages, templates, migrations
check: python git
	@$(INSTALL) --dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/djangofmt --quiet --check templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python -m tests.relay.request_costs.costs

# What the tools can mend of these
fix: python git
	@$(INSTALL) --dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djangofmt --quiet templates

# Compare with nginx, LiteLLM's proxy and Portkey's gateway: half an hour; 3 minutes: make bench QUICK=1
bench: python
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.test_programs.servers
	@exec $(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(ARGS)

# What requests, jobs and pages cost by the number of requests in the books; some minutes for each
# million, and 5 GB of the disk: make bench-usage ROWS="100000 1000000 10000000"
bench-usage: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.reading $(if $(ROWS),--rows $(ROWS))

# A run of tool calls over a WebSocket beside the same over SSE; two minutes
bench-tool-calls: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.tool_calls

# How soon pages answer a click or a key, in a browser at a quarter of its pace; some minutes
bench-interactions: python
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.test_programs.browser
	@exec $(BIN)/python -m tests.bench.interactions

# What processes that serve one organisation wait for each other; some minutes
bench-organisation: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.one_organisation $(ARGS)

# What the content log takes on the disk, and how long readers of it wait; some minutes and 8 GB of
# the disk
bench-content-log: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.content_log $(ARGS)

# CPU of a request with the content log on beside the same with it off; some minutes
bench-content-log-cpu: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.content_log_cpu $(ARGS)

# CPU of a stream that three guards check beside the same without guards; some minutes
bench-guards-cpu: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.guards_cpu $(ARGS)

# Memory and idle CPU of an installation, as its books grow; half an hour for each million requests
bench-long: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.long_run $(if $(REQUESTS),--requests $(REQUESTS))

# How old rollups become at the end of a busy quarter of an hour; some minutes and 3 GB of the disk
bench-rollups: python
	@$(INSTALL) --dev
	@exec $(BIN)/python -m tests.bench.rollups $(ARGS)

# A picture of every page in build/screenshots, from an installation of its own; takes minutes. Those
# that documents show are renewed in docs/images too. Some of them:
# make screenshots ARGS="status admin-channel"; every page in one look: ARGS="-dark"
screenshots: python
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.test_programs.browser
	@$(BIN)/python -m tools.screenshots $(ARGS)

# The reference pages docs/reference/*.md that are made from the code
reference: python
	@$(INSTALL) --dev
	@$(BIN)/python -m tools.reference_pages
	@$(BIN)/python -m tools.price_members

# The diagrams of the rooms and of a request, docs/images/*.svg, from the code
diagrams: python
	@$(INSTALL) --dev
	@$(BIN)/python -m tools.diagrams

# The documents as a static site with search, build/docs/index.html; a warning is an error. A running
# installation has the same pages under /manual
docs: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m tools.site

# The three lock files after a change of pyproject.toml; newer versions: make lock ARGS=--upgrade
lock: python
	@$(INSTALL) --dev
	$(LOCK) --all-extras --group embedded pyproject.toml -o requirements.lock
	$(LOCK) --all-extras --group embedded --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(LOCK) --all-extras -c requirements.lock pyproject.toml -o requirements-prod.lock

# The list of what the image installs, build/sbom.cdx.json; signed: make sbom KEY=release.key
sbom: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.sbom write build/sbom.cdx.json
	@$(if $(KEY),$(BIN)/python -m stack.sbom sign build/sbom.cdx.json $(KEY))

# The wheels weir-hub and llm-dialects, into build/wheels
wheel: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.wheels

# The wheels, checked, and what to type to upload them
release: python git
	@$(INSTALL) --dev
	@$(BIN)/python -m stack.wheels release

# Collect the texts of the source into locale/; then translate the empty ones
messages: python gettext
	@$(INSTALL) --dev
	@$(BIN)/python manage.py messages

python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH. Install Python 3.11 or newer, or name one: make run PYTHON=/path/to/python3" >&2; exit 1; }

git:
	@command -v git >/dev/null || { echo "git is not on PATH. Install it: the checks use it to list the project's files." >&2; exit 1; }

gettext:
	@command -v xgettext >/dev/null || { echo "xgettext is not on PATH. Install GNU gettext: apt-get install gettext, or brew install gettext." >&2; exit 1; }
