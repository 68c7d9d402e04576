# `make help` lists the targets. Most need only Go and make; tests/setup.sh installs
# what the tests need.

PREFIX  ?= /usr/local
DESTDIR ?=
# Where settings are installed; an existing file is kept.
SYSCONFDIR ?= /etc
# Where binaries are built and installed from.
BIN     ?= bin
# How long each fuzz target runs under `make fuzz`.
FUZZTIME ?= 30s
# How long `make chaos` runs.
CHAOSTIME ?= 10m
# The version of a release build.
RELEASE ?=
# A file with the private key that signs a release (make dist).
KEY     ?=
# The module's path, if it changes (make module).
MODULE  ?=

TOOLS   := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
# The tools for hosts that carry bundles, which need not be Linux.
CARRY   := bundle-ls bundle-verify bundle-version oci-push
# What --version says: the release, or in a git clone the commit.
STAMP   := $(shell sed -n 's/^module //p' go.mod)/lib/cli
COMMIT  := $(if $(RELEASE),,$(shell git describe --always --abbrev=12 --exclude '*' --dirty 2>/dev/null))
LDFLAGS := -s -w $(if $(RELEASE),-X $(STAMP).release=$(RELEASE)) $(if $(COMMIT),-X $(STAMP).commit=$(COMMIT))
GOBUILD  = CGO_ENABLED=0 $(if $(GOFIPS140),GOFIPS140=$(GOFIPS140)) go build -trimpath -ldflags '$(LDFLAGS)'

.PHONY: help chaos build build-fips build-all build-airgap clean-airgap test quick race vuln lint demo recording bench fuzz conformance site install uninstall dist docs man module clean

help: ## list the targets
	@printf '%s\n' 'usage: make TARGET [VARIABLE=VALUE]' '' '  make build && sudo make install PREFIX=/usr' '' 'Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

build: ## build the tools for this machine into bin/
	@mkdir -p $(BIN)
	$(GOBUILD) -o $(BIN)/ $(addprefix ./cmd/,$(TOOLS))

# The Go Cryptographic Module with a certificate that the toolchain contains.
FIPS    ?= v1.0.0

build-fips: ## build the tools with a FIPS 140-3 module into bin/fips/
	@$(MAKE) -s build BIN=$(BIN)/fips GOFIPS140=$(FIPS)

build-all: ## build the tools for all platforms into dist/
	@for arch in amd64 arm64; do \
	  mkdir -p dist/linux-$$arch && \
	  echo "linux/$$arch" && \
	  GOOS=linux GOARCH=$$arch $(GOBUILD) -o dist/linux-$$arch/ ./cmd/... || exit; \
	  for os in darwin windows; do \
	    mkdir -p dist/$$os-$$arch && \
	    echo "$$os/$$arch" && \
	    GOOS=$$os GOARCH=$$arch $(GOBUILD) -o dist/$$os-$$arch/ $(addprefix ./cmd/,$(CARRY)) || exit; \
	  done; \
	done

# The k0s of an airgap build and its description. Set K0S_VERSION if the name of the
# file does not contain its version.
AIRGAP  := cmd/k0s-extract/embedded
EXTRACT  = GOOS= GOARCH= go run ./cmd/k0s-extract --quiet --from '$(K0S)' --platform linux/$$(go env GOARCH) $(if $(K0S_VERSION),--k0s-version $(K0S_VERSION))

build-airgap: ## build k0s-extract with the k0s of K0S=FILE, in bin/airgap/
	@[ -n '$(K0S)' ] || { echo 'make build-airgap: K0S=FILE is required' >&2; exit 2; }
	@mkdir -p $(AIRGAP) $(BIN)/airgap
	$(EXTRACT) --name --plan --to $(AIRGAP) --format '{"kind":"file","size":{{.size}},"digest":"{{.digest}}","version":"{{.version}}","platform":"{{.platform}}"}' >$(AIRGAP)/k0s.json
	@$(EXTRACT) --replace --to $(AIRGAP)/k0s --format '{{.version}}' >$(AIRGAP)/version
	CGO_ENABLED=0 go build -trimpath -tags airgap -ldflags "$(LDFLAGS) -X main.Flavor=airgap -X main.K0sVersion=$$(cat $(AIRGAP)/version) \
	  -X main.BuildTime=$$(date -u -d @$${SOURCE_DATE_EPOCH:-$$(date +%s)} +%FT%TZ)" -o $(BIN)/airgap/ ./cmd/k0s-extract

clean-airgap: ## remove that k0s and what was built with it
	rm -rf $(AIRGAP) $(BIN)/airgap

test: ## run everything that must pass; tests/run.sh runs parts of it
	@tests/run.sh

quick: ## run go test on every package, as any user
	@CI= go test -json ./... | go run ./tests/tally

race: ## run every Go test with the race detector: takes minutes
	CGO_ENABLED=1 go test -race ./...

lint: ## run gofmt, vet, staticcheck, shellcheck, mandoc and others
	@tests/run.sh lint

vuln: ## run govulncheck on the tools; needs its database
	@packaging/vuln.sh

demo: ## show the main job on a sample bundle
	@tests/demo/demo.sh

recording: ## record the demo into docs/demo.svg
	@tests/demo/record.sh

bench: ## measure the figures of tests/bench/README.md
	@tests/bench/run.sh

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@grep -rloE --include='*_test.go' '^func Fuzz[A-Z]' cmd lib | xargs -n 1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $$dir | cut -c6-); do \
	    echo "$$dir $$target" && go test ./$$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x || exit; \
	  done; \
	done

site: build ## install two booted containers: K0S=FILE BUNDLE=FILE KEY=FILE
	@tests/site/run.sh

chaos: ## kill and pause oci-serve under load for CHAOSTIME (10m)
	go test ./tests/chaos -v -timeout 0 -args -for $(CHAOSTIME)

conformance: ## run the OCI distribution-spec suite against oci-serve
	@tests/run.sh conformance

install: build files ## install tools, pages, completions and units to PREFIX

# Everything except the documents that dist.sh adds.
.PHONY: files
files:
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system
	install $(addprefix $(BIN)/,$(TOOLS)) $(DESTDIR)$(PREFIX)/bin
	@for page in man/*.[1-9]; do \
	  install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit; \
	done
	@for tool in $(TOOLS); do \
	  install -D -m 644 completions/$$tool.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$tool && \
	  install -D -m 644 completions/_$$tool $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$tool && \
	  install -D -m 644 completions/$$tool.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$tool.fish || exit; \
	done
	@for unit in $(wildcard lib/systemd/*.service lib/systemd/*.socket lib/systemd/*.timer); do \
	  sed 's,/usr/local/bin/,$(PREFIX)/bin/,' $$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit; \
	done
	@for users in $(wildcard lib/systemd/*.sysusers); do \
	  name=$${users##*/} && install -D -m 644 $$users $(DESTDIR)$(PREFIX)/lib/sysusers.d/$${name%.*}.conf || exit; \
	done
	@for settings in $(wildcard lib/systemd/*.env); do \
	  file=$(DESTDIR)$(SYSCONFDIR)/k0rdent-airgap/$${settings##*/}; \
	  [ -e $$file ] || install -D -m 644 $$settings $$file || exit; \
	done
	install install.sh $(DESTDIR)$(PREFIX)/bin/k0rdent-airgap-install
	@install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/k0rdent-airgap lib/install/*.sh

# It has the same list of files as install, made of empty ones.
uninstall: ## remove what install put there, except edited settings
	@stage=$$(mktemp -d) && mkdir $$stage/bin && touch $(addprefix $$stage/bin/,$(TOOLS)) && \
	$(MAKE) -s files BIN=$$stage/bin DESTDIR=$$stage/root && (cd $$stage/root && find . -type f) | while read -r file; do \
	  case $$file in .$(SYSCONFDIR)/*) cmp -s $$stage/root/$$file $(DESTDIR)/$$file || continue ;; esac; \
	  rm -f $(DESTDIR)/$$file; \
	done; rm -rf $$stage
	@rmdir $(DESTDIR)$(SYSCONFDIR)/k0rdent-airgap $(DESTDIR)$(PREFIX)/lib/k0rdent-airgap 2>/dev/null || true

dist: ## write a reproducible release to dist/; KEY=FILE signs it
	@KEY='$(KEY)' FIPS='$(FIPS)' CARRY='$(CARRY)' packaging/dist.sh

docs: ## render the manual pages as HTML in dist/docs/
	@packaging/docs.sh

man: ## render the manual pages as Markdown in docs/man/
	@packaging/man.sh docs/man

module: ## change the module path to MODULE=HOST/PATH, for go install
	@packaging/module.sh '$(MODULE)'

clean: ## remove what was built, except .cache/
	rm -rf bin dist
