# Everything here is a plain `go` command. `make check` is what CI runs; `make help` lists the targets.

GO       ?= go
FUZZTIME ?= 30s
SOAKTIME ?= 10m

# Packages whose tests run a second time under the race detector, without their long cases (testing.Short).
RACE_PACKAGES := ./pkg/...

# Suites that are left out there, and that `make test` and `make racewhole` run: they run the code that the conformance suite
# runs on the directory in the process (TestConformanceStore, Plain and, over LDAP, Embedded), or ask one thing after the other.
RACE_SKIP := ^TestConformance(OpenLDAP|PlainOpenLDAP)$$|^Test(Generated.*|Isolation)$$

# How many tests of a package run at the same time. Most of them wait for a server, a disk or a time-out, so they are more
# than there are cores.
PARALLEL ?= 4

.DEFAULT_GOAL := help

# The targets share two cores and one terminal, so that even `make -j` runs them one after the other.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## compile the service into bin/education
	$(GO) build -trimpath -o bin/education ./cmd/education

.PHONY: run
run: build ## start the service with its defaults; Ctrl-C stops it
	@exec bin/education

.PHONY: test
test: programs ## run every test, the conformance and acceptance suites included
	$(GO) test -timeout 20m -parallel $(PARALLEL) ./...

# Where these cannot be installed, the tests that need them skip and say why.
.PHONY: programs
programs: # the LDAP server and clients that tests run beside the service
	@scripts/install-test-programs --if-possible slapd ldap-utils

.PHONY: race
race: ## run the packages' tests under the race detector, long cases left out
	$(GO) test -race -short -skip '$(RACE_SKIP)' -timeout 20m -parallel $(PARALLEL) $(RACE_PACKAGES)

.PHONY: racewhole
racewhole: programs ## run every test under the race detector, with a service that is built with it, too; half an hour
	$(GO) test -race -count=1 -timeout 60m -parallel $(PARALLEL) ./...

.PHONY: thorough
thorough: programs ## run the directories' tests, and those of tenants, with the numbers that every change is too often for
	EDUCATION_TEST_THOROUGH=true $(GO) test -count=1 -timeout 60m -parallel $(PARALLEL) ./pkg/identity/... ./pkg/education/api

.PHONY: conformance
conformance: ## run the suite that defines a directory against every directory there is
	$(GO) test -count=1 -run Conformance ./pkg/identity/...

.PHONY: acceptance
acceptance: ## drive the built binary over HTTP and LDAP
	$(GO) test -count=1 ./tests/acceptance/...

# The directories beside the one in the process that the acceptance suite knows (tests/acceptance/backend_test.go).
DIRECTORIES ?= embedded-ldap openldap openldap-plain openldap-opencloud openldap-migrated 389ds

.PHONY: directories
directories: programs ## run the acceptance suite on each of DIRECTORIES, servers that the tests start
	@for directory in $(DIRECTORIES); do \
		echo "== the acceptance suite on $$directory"; \
		EDUCATION_TEST_DIRECTORY=$$directory $(GO) test -count=1 -timeout 15m ./tests/acceptance || exit 1; \
	done

# What differs most between servers: what OpenCloud and its administrators do, the whole life of a school, and texts.
SAMPLE := TestProvisioningSequence|TestOpenCloud|TestU18|TestSpecialTexts/users_passwordProfile|TestTokenOfASchool

.PHONY: sample
sample: programs ## run a part of the acceptance suite on OpenLDAP, with a tree as OpenCloud writes it too, and 389-DS
	@for directory in openldap openldap-opencloud 389ds; do \
		echo "== a part of the acceptance suite on $$directory"; \
		EDUCATION_TEST_DIRECTORY=$$directory $(GO) test -count=1 -timeout 5m -run '$(SAMPLE)' ./tests/acceptance || exit 1; \
	done

.PHONY: clients
clients: build ## drive the built binary with the CLIENTS of other people (all); needs Node and npm
	GO="$(GO)" scripts/clients $(CLIENTS)

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (30s)
	GO="$(GO)" scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./...

.PHONY: soak
soak: ## run the tests that need SOAKTIME (10m) to show anything
	EDUCATION_TEST_SOAK=$(SOAKTIME) $(GO) test -count=1 -run Soak -timeout 0 -v ./...

.PHONY: lint
lint: bin/.tools ## vet, staticcheck and formatting; changes nothing
	$(GO) vet ./...
	bin/staticcheck ./...
	@unformatted=$$(bin/gofumpt -l .); \
	if [ -n "$$unformatted" ]; then \
		printf 'not formatted, run "make fmt":\n%s\n' "$$unformatted"; exit 1; \
	fi

# No part of `make check`: it needs the network, or a mirror at GOVULNDB, and finds something new without any change here.
.PHONY: vulncheck
vulncheck: bin/.tools ## look for known vulnerabilities in what the binary is made of
	scripts/vulncheck

.PHONY: fmt
fmt: bin/.tools ## format the Go files
	bin/gofumpt -w .

.PHONY: check
check: build lint race test sample ## all that must hold before a change lands

.PHONY: clean
clean: ## remove what the targets above made; data directories stay
	rm -rf bin

# The versions of linters and of govulncheck are pinned in tools/go.mod, apart from the service's own dependencies.
bin/.tools: tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../bin/ tool
	@touch $@
