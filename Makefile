# Everything a developer or CI runs. "make help" lists the targets.

SHELL       := /bin/bash
GO          ?= go
BIN         := bin
TOOLS       := $(BIN)/tools
FUZZTIME    ?= 30s
BENCHTIME   ?= 2s
# The revision is stamped also where GOFLAGS of the environment says otherwise.
GOFLAGS_BUILD := -trimpath -buildvcs=auto

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install (as root) or name the packages that the other targets need
	@scripts/deps

# The few of them that compiling, or trying it all, needs.
.PHONY: deps-build deps-demo
deps-build deps-demo: deps-%:
	@scripts/deps $*

.PHONY: build
build: deps-build agent ## compile the programs into bin/
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/snpguard-service ./service
	$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/packer-plugin-snpguard .

# The same source gives the same bytes, wherever and from whichever checkout.
AGENT_FLAGS := -trimpath -buildvcs=false -ldflags '-s -w -buildid='
AGENT_BUILD := CGO_ENABLED=0 GOOS=linux GOARCH=amd64 GOAMD64=v1 $(GO) build $(AGENT_FLAGS)
AGENTS      := internal/image/agentbin/bin

.PHONY: agent
agent: deps-build ## compile the guest agents, which the other programs carry inside
	$(AGENT_BUILD) -o $(AGENTS)/snpguard-agent ./agent
	$(AGENT_BUILD) -tags sim -o $(AGENTS)/snpguard-agent-sim ./agent

# Built once and kept: SNPGUARD_IMAGES names another directory.
IMAGES := $(or $(SNPGUARD_IMAGES),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/snpguard/images)

.PHONY: images
images: deps $(IMAGES)/debian.qcow2 $(IMAGES)/dracut.qcow2 $(IMAGES)/ubuntu.qcow2 $(IMAGES)/sysvinit.qcow2 kernel ## build the cloud images that tests convert

.PHONY: image
image: $(IMAGES)/debian.qcow2 ## build the first of them, to try with
	@echo $<

$(IMAGES)/%.qcow2: | deps-demo
	scripts/image $* $@

.PHONY: kernel
kernel: deps
	scripts/image-kernel $(IMAGES)/kernel

.PHONY: generate
generate: $(TOOLS)/packer-sdc ## bring generated files up to date
	@scripts/generate $(TOOLS)

$(TOOLS)/%: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	cd tools && $(GO) build -o ../$(TOOLS)/ $(shell awk '$$1 ~ /\/$*$$/ { print $$1 }' tools/go.mod)

# Programs that need a module of their own: tools/NAME.
$(TOOLS)/packer $(TOOLS)/packer-sdc $(TOOLS)/goreleaser: $(TOOLS)/%: tools/%/go.mod tools/%/go.sum
	@mkdir -p $(TOOLS)
	cd tools/$* && $(GO) build -trimpath -o ../../$(TOOLS)/ $$($(GO) list tool)

.PHONY: plugin
plugin: agent $(TOOLS)/packer $(TOOLS)/packer-sdc ## build the Packer plugin as a release and install it for bin/tools/packer
	@scripts/plugin $(BIN)

.PHONY: packer-test
packer-test: plugin ## every component under the real Packer
	@$(MAKE) --no-print-directory e2e-packer

.PHONY: lint
lint: deps $(TOOLS)/golangci-lint $(TOOLS)/govulncheck $(TOOLS)/packer-sdc ## gofmt, go vet, golangci-lint, shellcheck, govulncheck, go.mod
	$(TOOLS)/golangci-lint run ./...
	$(TOOLS)/golangci-lint run --build-tags sim ./agent/...
	$(TOOLS)/golangci-lint run --build-tags e2e ./test/...
	$(GO) mod tidy -diff
	scripts/generated $(TOOLS)
	shellcheck scripts/* .ci/run
	scripts/vulncheck $(TOOLS)/govulncheck

.PHONY: test
test: deps agent ## everything that this machine can check; what CI runs
	$(MAKE) --no-print-directory -j2 -Oline lint images
	$(MAKE) --no-print-directory plugin
	GO=$(GO) scripts/coverage $(COVERAGE) -race
	$(GO) test -race -skip '$(SLOW)' ./internal/image/convert ./internal/image/embed ./cmd/snpguard
	$(GO) test -race -skip '$(SLOW)' -tags sim ./agent/...
	$(MAKE) --no-print-directory -j3 -Oline e2e-boots e2e-conversions e2e-packer

COVERAGE := $(BIN)/coverage.out
# What has run without the race detector and would take minutes under it.
SLOW := ^Test(EverythingArrives|CutAnywhere|Scripts|EveryCut|Cuts.*|OtherFileSystems|AllOfExt4)$$

.PHONY: cover
cover: deps ## how much of what faces an attacker the tests reach; fails under 85 %
	@mkdir -p $(BIN)
	@GO=$(GO) scripts/coverage $(COVERAGE)

# Side by side, since a guest under emulation keeps one core busy at most, and one
# that is refused waits before it asks again. They run programs that go test does not
# know of: what it remembers of them does not count.
CONVERSIONS := ^Test(Converted|Missing|Layouts|Source|Conversion|NoEncryption|HostileTrees|HostileInitrds|HostileDisks|HostileBoot|Edits|Further|Interrupted|Killed|FullDisk|Existing|Unwritable|SideBySide|Keep|Terminated)
E2E := $(GO) test -tags e2e -count 1 -timeout 50m

.PHONY: e2e-boots
e2e-boots:
	$(E2E) -parallel 3 -skip '$(CONVERSIONS)' ./test/e2e

.PHONY: e2e-conversions
e2e-conversions:
	$(E2E) -run '$(CONVERSIONS)' ./test/e2e

.PHONY: e2e-packer
e2e-packer:
	$(E2E) ./test/packer

# Apart from lint: goreleaser takes ten minutes to compile.
.PHONY: release-check
release-check: $(TOOLS)/goreleaser ## check the configuration of releases
	$(TOOLS)/goreleaser check

.PHONY: bench
bench: images ## speed and memory, as ratios to a reference run beside it
	@scripts/bench $(BENCHTIME)

.PHONY: screenshots
screenshots: deps ## pictures of every page of the dashboard, into docs/screenshots
	$(GO) test ./service -run '^TestEveryPage$$' -count 1 -screenshots $(CURDIR)/docs/screenshots

.PHONY: fuzz
fuzz: deps ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

# IMAGE names another source image than the one that is built.
DEMO_IMAGE := $(or $(IMAGE),$(IMAGES)/debian.qcow2)

.PHONY: demo
demo: deps-demo build plugin $(DEMO_IMAGE) ## convert, register, boot and unlock a real image, simulated
	@scripts/demo $(TOOLS)/packer $(BIN)/packer-plugins $(DEMO_IMAGE)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist
