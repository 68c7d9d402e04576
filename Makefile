# `make help` lists the targets. Go and make are enough for all of them; what
# the tests need beside is installed by tests/setup.sh.

PREFIX  ?= /usr/local
DESTDIR ?=
# Where settings lie; a file that is there already stays as it is.
SYSCONFDIR ?= /etc
# Where binaries are built, and installed from.
BIN     ?= bin
# How long each fuzz target runs under `make fuzz`.
FUZZTIME ?= 30s
# How long `make chaos` runs.
CHAOSTIME ?= 10m
# The version of a release build; without it, the build information tells.
RELEASE ?=

TOOLS   := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
LDFLAGS := -s -w $(if $(RELEASE),-X k0rdent-airgap/lib/cli.release=$(RELEASE))
GOBUILD  = CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'

.PHONY: help chaos build build-all build-airgap clean-airgap test quick race vuln lint demo recording bench fuzz conformance site install uninstall dist docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

build: ## build the tools for this machine into bin/
	@mkdir -p $(BIN)
	$(GOBUILD) -o $(BIN)/ ./cmd/...

build-all: ## build the tools for linux/amd64 and linux/arm64 into dist/
	@for arch in amd64 arm64; do \
	  mkdir -p dist/linux-$$arch && \
	  echo "linux/$$arch" && \
	  GOOS=linux GOARCH=$$arch $(GOBUILD) -o dist/linux-$$arch/ ./cmd/... || exit; \
	done

# The k0s in an airgap build, and what is noted about it. K0S_VERSION tells the
# version of a file whose name does not.
AIRGAP  := cmd/k0s-extract/embedded
EXTRACT  = GOOS= GOARCH= go run ./cmd/k0s-extract --quiet --from '$(K0S)' --platform linux/$$(go env GOARCH) $(if $(K0S_VERSION),--k0s-version $(K0S_VERSION))

build-airgap: ## build k0s-extract with the k0s of K0S=FILE in it, into bin/airgap/
	@[ -n '$(K0S)' ] || { echo 'make build-airgap K0S=FILE: which k0s?' >&2; exit 2; }
	@mkdir -p $(AIRGAP) $(BIN)/airgap
	$(EXTRACT) --name --plan --to $(AIRGAP) --format '{"kind":"file","size":{{.size}},"digest":"{{.digest}}","version":"{{.version}}","platform":"{{.platform}}"}' >$(AIRGAP)/k0s.json
	@$(EXTRACT) --replace --to $(AIRGAP)/k0s --format '{{.version}}' >$(AIRGAP)/version
	CGO_ENABLED=0 go build -trimpath -tags airgap -ldflags "$(LDFLAGS) -X main.Flavor=airgap -X main.K0sVersion=$$(cat $(AIRGAP)/version) \
	  -X main.BuildTime=$$(date -u -d @$${SOURCE_DATE_EPOCH:-$$(date +%s)} +%FT%TZ)" -o $(BIN)/airgap/ ./cmd/k0s-extract

clean-airgap: ## remove the k0s of the airgap build, and what was built with it
	rm -rf $(AIRGAP) $(BIN)/airgap

test: ## everything that must pass: lint, unit, conformance, browser, containerd, cluster, processes, release
	@tests/run.sh

quick: ## go test of every package, as any user; what needs root or a missing program is skipped, by name
	@CI= go test -json ./... | go run ./tests/tally

race: ## everything under the race detector, what links Helm too (CI=true make test does as well): takes minutes
	CGO_ENABLED=1 go test -race ./...

lint: ## gofmt, vet, staticcheck, shellcheck, mandoc
	@tests/run.sh lint

vuln: ## govulncheck of the tools, where its database can be reached
	@packaging/vuln.sh

demo: ## the main job on a sample bundle, for real, in a temporary directory
	@tests/demo/demo.sh

recording: ## record the demo into docs/demo.svg (needs asciinema, termtosvg, jq)
	@tests/demo/record.sh

bench: ## the figures of tests/bench/README.md, measured here
	@tests/bench/run.sh

fuzz: ## run every fuzz target for FUZZTIME (default 30s)
	@grep -rloE --include='*_test.go' '^func Fuzz[A-Z]' cmd lib | xargs -n 1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $$dir | cut -c6-); do \
	    echo "$$dir $$target" && go test ./$$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x || exit; \
	  done; \
	done

site: build ## the whole road on two booted containers: K0S=FILE BUNDLE=FILE KEY=FILE for the real parts
	@tests/site/run.sh

chaos: ## oci-serve killed, stopped and paused for CHAOSTIME (default 10m) while clients push and read
	go test ./tests/chaos -v -timeout 0 -args -for $(CHAOSTIME)

conformance: ## the OCI distribution-spec conformance suite against oci-serve
	@tests/run.sh conformance

install: build files ## install tools, man pages, completions and units under DESTDIR/PREFIX

# All but the papers that dist.sh adds; what is found is installed.
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
	@for script in $(wildcard install.sh); do \
	  install $$script $(DESTDIR)$(PREFIX)/bin/k0rdent-airgap-install || exit; \
	done

# The same list as for install, of files that may be empty.
uninstall: ## take away what install has put there; settings that were changed stay
	@stage=$$(mktemp -d) && mkdir $$stage/bin && touch $(addprefix $$stage/bin/,$(TOOLS)) && \
	$(MAKE) -s files BIN=$$stage/bin DESTDIR=$$stage/root && (cd $$stage/root && find . -type f) | while read -r file; do \
	  case $$file in .$(SYSCONFDIR)/*) cmp -s $$stage/root/$$file $(DESTDIR)/$$file || continue ;; esac; \
	  rm -f $(DESTDIR)/$$file; \
	done; rm -rf $$stage
	@rmdir $(DESTDIR)$(SYSCONFDIR)/k0rdent-airgap 2>/dev/null || true

dist: ## reproducible archives, deb and rpm for amd64 and arm64, with SBOMs, in dist/
	@packaging/dist.sh

docs: ## the man pages as HTML, with an index, in dist/docs/ (needs mandoc)
	@packaging/docs.sh

clean: ## remove what was built (.cache/, with the tests' programs, stays)
	rm -rf bin dist
