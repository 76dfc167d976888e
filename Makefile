# SPDX-License-Identifier: GPL-3.0-or-later
# `make` builds; see `make help`.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := build
.PHONY: help build demo test check bench install

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## Build target/release/era
	$(CARGO) build --release --locked

demo: ## Incremental backups of a live filesystem on a real dm-era, in User-Mode Linux
	@scripts/install-deps demo
	@$(CARGO) build --release --locked --quiet
	@demo/run

# In CI nothing is skipped: with ERA_TEST_REQUIRE_ALL a missing prerequisite is a failure.
test: ## Run all tests, those on a real kernel included
	@scripts/install-deps test
	ERA_TEST_REQUIRE_ALL=1 $(CARGO) test --locked

check: ## Check formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

bench: ## Measure side by side with what else one would use
	@scripts/install-deps bench
	$(CARGO) bench --locked --bench side_by_side

# Builds nothing, so that it can be run as root after `make` as a user.
install: ## Install what `make` built below $(DESTDIR)$(PREFIX)
	@test -x target/release/era || { echo 'There is nothing to install yet: run `make` first.' >&2; exit 2; }
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 target/release/era $(DESTDIR)$(PREFIX)/bin/era
	ln -sf era $(DESTDIR)$(PREFIX)/bin/era_copy
	ln -sf era $(DESTDIR)$(PREFIX)/bin/era_apply
