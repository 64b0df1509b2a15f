# Everything a developer or CI runs. "make help" lists the targets.

SHELL       := /bin/bash
GO          ?= go
BIN         := bin
TOOLS       := $(BIN)/tools
FUZZTIME    ?= 30s
BENCHTIME   ?= 2s
GOFLAGS_BUILD := -trimpath

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install (as root) or name the packages that the other targets need
	@scripts/deps

.PHONY: build
build: deps ## compile the programs into bin/
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/snpguard-service ./service

.PHONY: agent
agent: ## compile the guest agent
	@echo "make agent: there is no agent yet; it comes with the boot" >&2; exit 1

.PHONY: generate
generate: ## bring generated files up to date
	$(GO) generate ./...

$(TOOLS)/%: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	cd tools && $(GO) build -o ../$(TOOLS)/ $(shell awk '$$1 ~ /\/$*$$/ { print $$1 }' tools/go.mod)

.PHONY: lint
lint: deps $(TOOLS)/golangci-lint $(TOOLS)/govulncheck ## gofmt, go vet, golangci-lint, shellcheck, govulncheck, go.mod
	$(TOOLS)/golangci-lint run ./...
	$(GO) mod tidy -diff
	shellcheck scripts/* .ci/run
	scripts/vulncheck $(TOOLS)/govulncheck

.PHONY: test
test: lint ## everything that this machine can check; what CI runs
	$(GO) test -race ./...

.PHONY: bench
bench: deps ## speed and memory, as ratios to a reference run beside it
	@scripts/bench $(BENCHTIME)

.PHONY: screenshots
screenshots: deps ## pictures of every page of the dashboard, into docs/screenshots
	$(GO) test ./service -run '^TestEveryPage$$' -count 1 -screenshots $(CURDIR)/docs/screenshots

.PHONY: fuzz
fuzz: deps ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

.PHONY: demo
demo: ## convert, register, boot and unlock a real image, simulated
	@echo "make demo: waits for conversion, agent and Packer plugin" >&2; exit 1

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist
