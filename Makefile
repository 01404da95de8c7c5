# make help lists the targets. Everything is built below SCRATCH; nothing is installed but by deps and install.

SWIFT   ?= swift
SCRATCH ?= .build
PREFIX  ?= /usr/local
DESTDIR ?=
ROUNDS  ?= 10
SERVERS ?= 3
MINUTES ?= 10
RUNS    ?= 20
SEED    ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

# The programs as they are installed: optimised, Swift's libraries linked in, symbols stripped.
DIST := $(SCRATCH)/dist
RELEASE := -c release --static-swift-stdlib --scratch-path $(SCRATCH)

.PHONY: help deps build release test up down bench bench-gossip fuzz sim sim-raft sim-soak experiments soak soak-writes install clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install the libraries and tools that are missing, or say what to install
	@scripts/deps.sh "$(SWIFT)"

build: deps ## Build everything for development
	$(SWIFT) build --scratch-path $(SCRATCH)

release: deps ## Build the programs as they are installed, in .build/dist
	$(SWIFT) build $(RELEASE) --product nomadd
	$(SWIFT) build $(RELEASE) --product nomad
	$(SWIFT) build $(RELEASE) --product nomad-bench
	@mkdir -p $(DIST)
	@for program in nomadd nomad nomad-bench; do \
	  strip -o $(DIST)/$$program.new $(SCRATCH)/release/$$program && mv -f $(DIST)/$$program.new $(DIST)/$$program; \
	done
	@ls -lh $(DIST) | awk 'NR > 1 { print "  " $$5 "  $(DIST)/" $$NF }'

test: deps ## Run all tests, the end-to-end suite included
	$(SWIFT) test --scratch-path $(SCRATCH)

up: release ## Form a cluster of three servers and a client on 127.0.0.1 to 127.0.0.4
	@NOMADD_BIN_DIR="$(abspath $(DIST))" scripts/up.sh

down: ## Stop that cluster; its data stays until make clean
	@scripts/down.sh

bench: release ## Measure how fast SERVERS=3 servers form a cluster, over ROUNDS=10 rounds
	$(DIST)/nomad-bench form --servers $(SERVERS) --clients 1 --failover --rounds $(ROUNDS)

bench-gossip: release ## Measure pings answered a second, beside a bare echo and HashiCorp's memberlist if it is there
	@scripts/bench-gossip.sh "$(DIST)"

fuzz: deps ## Fire nearly right gossip packets and streams at members for MINUTES=10, from SEED=...
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path $(SCRATCH) --product nomad-fuzz
	$(SCRATCH)/release/nomad-fuzz --minutes $(MINUTES) --seed $(SEED) --corpus Tests/Gossip/Corpus

sim: deps ## Run the simulations with RUNS=20 seeds each, from SEED=... or a fresh seed on
	@first=$(SEED); echo "repeat with: make sim SEED=$$first RUNS=$(RUNS)"; \
	NOMADD_SIM_SEED=$$first NOMADD_SIM_RUNS=$(RUNS) \
	  $(SWIFT) test --scratch-path $(SCRATCH) --filter SimulationTests

sim-raft: deps ## Simulate Raft alone, optimised, with RUNS=3000 seeds from SEED=1 on
	$(SWIFT) build $(RELEASE) --product nomad-simulate
	$(SCRATCH)/release/nomad-simulate --seed $(if $(filter command% env%,$(origin SEED)),$(SEED),1) \
	  --runs $(if $(filter command% env%,$(origin RUNS)),$(RUNS),3000)

sim-soak: deps ## Simulate Raft alone for MINUTES=10 from a fresh seed on
	$(SWIFT) build $(RELEASE) --product nomad-simulate
	$(SCRATCH)/release/nomad-simulate --seed $(SEED) --minutes $(MINUTES)

experiments: deps ## Repeat published experiments with our machines; writes docs/EXPERIMENTS.md. FULL=1: large pools
	$(SWIFT) build $(RELEASE) --product nomad-experiments
	$(SCRATCH)/release/nomad-experiments $(if $(FULL),,--quick) --seed 1 --known < .ci/experiments.known > docs/EXPERIMENTS.md

soak: release ## Break a cluster at random for MINUTES=10, and see that it heals and does not grow
	scripts/soak.py --minutes $(MINUTES) --bin $(DIST)

soak-writes: release ## Kill servers under write load, ROUNDS=200 times, and look for lost writes
	$(DIST)/nomad-bench soak --rounds $(if $(filter file,$(origin ROUNDS)),200,$(ROUNDS))

install: ## Install programs, systemd unit, system user, examples and docs below DESTDIR and PREFIX
	@test -x $(DIST)/nomadd || { echo "make install: run 'make release' first" >&2; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
	  $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(PREFIX)/share/doc/nomadd
	install -m 755 $(DIST)/nomadd $(DIST)/nomad $(DIST)/nomad-bench $(DESTDIR)$(PREFIX)/bin
	sed 's|/usr/bin/nomadd|$(PREFIX)/bin/nomadd|g' deploy/nomadd.service \
	  > $(DESTDIR)$(PREFIX)/lib/systemd/system/nomadd.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/nomadd.service
	install -m 644 deploy/nomadd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/nomadd.conf
	install -m 644 deploy/nomadd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/nomadd.conf
	cp -R deploy/examples docs $(DESTDIR)$(PREFIX)/share/doc/nomadd/
	install -m 644 README.md CHANGELOG.md LICENSE SECURITY.md $(DESTDIR)$(PREFIX)/share/doc/nomadd

clean: down ## Stop the cluster of make up and remove everything built, its data included
	rm -rf $(SCRATCH) run
