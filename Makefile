# SPDX-License-Identifier: GPL-3.0-or-later
# `make` builds; see `make help`.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
BENCHES ?= instructions micro side_by_side tracked_device

.DEFAULT_GOAL := build
.PHONY: help build demo test check bench install deb rpm has-cargo-deb package-root package-deb package-rpm

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

# What the initial ramdisk carries needs no object stores, which make up most of the program.
BUILD_BOOT = $(CARGO) build --release --locked --no-default-features --target-dir target/boot

build: ## Build target/release/era
	@scripts/install-deps build
	$(CARGO) build --release --locked
	$(BUILD_BOOT)

# What it shows needs no object stores either, and so it begins minutes sooner.
demo: ## Incremental backups of a live filesystem on a real dm-era, in User-Mode Linux
	@scripts/install-deps demo
	@$(BUILD_BOOT) --quiet
	@demo/run

# The program of the initial ramdisk is built first, as both are called target/debug/era, and with a test, as then crates are built the way
# all tests want them. Optimized a little, it starts sooner where that is slow, in User-Mode Linux.
TEST_BOOT := target/debug/era-boot
BUILD_TEST_BOOT = $(CARGO) build --locked --no-default-features --features restic-crates \
	--config profile.dev.package.era.opt-level=1 --bin era --test initial_ramdisk

# Tests wait for disks and servers: so there are twice as many at a time as processors, but for machines, which are as many.
# In CI nothing is skipped: with ERA_TEST_REQUIRE_ALL a missing prerequisite is a failure.
test: ## Run all tests, those on a real kernel included
	@scripts/install-deps test
	@scripts/install-moto $(TOOLS) & moto=$$!; scripts/install-cargo-deb $(TOOLS); deb=$$?; wait $$moto && exit $$deb
	$(BUILD_TEST_BOOT)
	cp target/debug/era $(TEST_BOOT)
	ERA_TEST_REQUIRE_ALL=1 ERA_TEST_BOOT_PROGRAM=$(CURDIR)/$(TEST_BOOT) RUST_TEST_THREADS=$$((2 * $$(nproc))) $(CARGO) test --locked

check: ## Check formatting, lints and documentation
	@scripts/install-deps build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

# One of them: `make bench BENCHES=tracked_device`. The next one runs even if a target was missed.
bench: ## Measure side by side with what else one would use, and what tracking costs
	@scripts/install-deps bench
	$(CARGO) bench --locked --no-fail-fast $(BENCHES:%=--bench %)

# See dist/README.md. What packages hold is what `make install` installs.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/era/tools
PACKAGES := target/package
# Such as to compress faster, as tests want it.
DEB_OPTIONS ?=
RPM_OPTIONS ?=

deb: ## Make a package for Debian and Ubuntu: target/package/*.deb
	@scripts/install-deps deb
	@scripts/install-cargo-deb $(TOOLS)
	$(CARGO) build --release --locked
	$(BUILD_BOOT)
	$(MAKE) --no-print-directory package-deb

rpm: ## Make a package for Fedora and its relatives: target/package/*.rpm
	@scripts/install-deps rpm
	$(CARGO) build --release --locked
	$(BUILD_BOOT)
	$(MAKE) --no-print-directory package-rpm

# These build nothing.
package-root:
	rm -rf $(PACKAGES)/root
	umask 022 && $(MAKE) --no-print-directory -s install DESTDIR=$(PACKAGES)/root PREFIX=/usr \
	  ZSH_COMPLETIONS=share/zsh/vendor-completions
	strip --remove-section=.comment $(PACKAGES)/root/usr/bin/era $(PACKAGES)/root/usr/lib/era/era-boot

package-deb: package-root
	PATH="$(TOOLS)/bin:$$PATH" $(CARGO) deb --no-build --no-strip --quiet $(DEB_OPTIONS) --output $(PACKAGES)/

has-cargo-deb:
	@PATH="$(TOOLS)/bin:$$PATH" cargo-deb --version >/dev/null

package-rpm:
	mkdir -p $(PACKAGES)
	rpmbuild -bb --quiet --build-in-place --without build $(RPM_OPTIONS) \
	  --define '_topdir $(CURDIR)/$(PACKAGES)/rpmbuild' --define '_rpmdir $(CURDIR)/$(PACKAGES)' \
	  --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' dist/rpm/era.spec
	rm -rf $(PACKAGES)/rpmbuild

# Builds nothing, so that it can be run as root after `make` as a user. GENERATE is a program `era` that runs on this machine,
# where what is installed does not. ERA_BOOT is the one for the initial ramdisk, which may be the same.
ERA ?= target/release/era
ERA_BOOT ?= target/boot/release/era
GENERATE ?= $(ERA)
ZSH_COMPLETIONS ?= share/zsh/site-functions
install: ## Install what `make` built below $(DESTDIR)$(PREFIX)
	@test -x $(ERA) && test -x $(ERA_BOOT) || { echo 'There is nothing to install yet: run `make` first.' >&2; exit 2; }
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(ERA) $(DESTDIR)$(PREFIX)/bin/era
	ln -sf era $(DESTDIR)$(PREFIX)/bin/era_copy
	ln -sf era $(DESTDIR)$(PREFIX)/bin/era_apply
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d udev/60-era.rules udev/61-era.rules
	sed -i 's|/usr/local/bin/|$(PREFIX)/bin/|' $(DESTDIR)$(PREFIX)/lib/udev/rules.d/61-era.rules
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 man/*.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/*.8
	$(call man_of_doc,stream,streams of changed blocks)
	$(call man_of_doc,repository,mirror of a device that keeps points in time)
	$(GENERATE) generate --man $(DESTDIR)$(PREFIX)/share/man/man8 \
	  --bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	  --zsh $(DESTDIR)$(PREFIX)/$(ZSH_COMPLETIONS) --fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/era dist/backup-example.toml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system dist/systemd/era-backup@.service dist/systemd/era-backup@.timer
	sed -i 's|/usr/local/bin/|$(PREFIX)/bin/|' $(DESTDIR)$(PREFIX)/lib/systemd/system/era-backup@.service
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system-generators $(DESTDIR)$(PREFIX)/lib/systemd/system-shutdown
	ln -sf ../../../bin/era $(DESTDIR)$(PREFIX)/lib/systemd/system-generators/era-generator
	ln -sf ../../../bin/era $(DESTDIR)$(PREFIX)/lib/systemd/system-shutdown/era-shutdown
	install -D -t $(DESTDIR)$(PREFIX)/share/initramfs-tools/hooks dist/initramfs-tools/hooks/era
	install -D -t $(DESTDIR)$(PREFIX)/share/initramfs-tools/scripts/local-top dist/initramfs-tools/scripts/local-top/era
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/dracut/modules.d/90era dist/dracut/90era/*.sh
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/era dist/refuse-removal
	if [ $(ERA) -ef $(ERA_BOOT) ]; then ln -sf ../../bin/era $(DESTDIR)$(PREFIX)/lib/era/era-boot; \
	  else install -m 755 $(ERA_BOOT) $(DESTDIR)$(PREFIX)/lib/era/era-boot; fi

# $(call man_of_doc,NAME,ABOUT): a specification in docs/ as a manual page; the text is there once.
man_of_doc = awk -v title=era-$(1) -v about='$(2)' -v version=$$($(GENERATE) --version | cut -d ' ' -f 2) \
	  -f man/doc-to-man.awk docs/$(1).md >$(DESTDIR)$(PREFIX)/share/man/man5/era-$(1).5
