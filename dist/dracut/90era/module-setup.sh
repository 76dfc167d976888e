#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# dracut: takes into the initial ramdisk what opens the tracked devices that /etc/eratab marks x-initrd.attach.

# Their lines.
era_lines() {
    [ -e "${dracutsysrootdir-}/etc/eratab" ] || return 1
    grep -v '^[[:space:]]*#' "${dracutsysrootdir-}/etc/eratab" |
        grep -E '[[:space:],]x-initrd\.attach(,|[[:space:]]|$)'
}

# The program for the ramdisk: without what a boot never needs, object stores for example.
era_boot() {
    local program
    program=$(command -v era)
    readlink -f "${program%/bin/era}/lib/era/era-boot"
}

check() {
    require_binaries era || return 1
    era_lines >/dev/null || return 255
}

depends() {
    echo dm
}

installkernel() {
    # shellcheck disable=SC2154 # dracut sets it
    modinfo -k "$kernel" dm_era >/dev/null 2>&1 || {
        dfatal "era: the kernel $kernel has no dm-era (CONFIG_DM_ERA): it cannot open what /etc/eratab marks x-initrd.attach"
        exit 1
    }
    hostonly='' instmods dm_mod dm_era dm_snapshot
}

install() {
    local program boot
    program=$(command -v era)
    boot=$(era_boot)
    [ -x "$boot" ] || {
        dfatal "era: ${program%/bin/era}/lib/era/era-boot is missing: install era again"
        exit 1
    }
    inst "$boot" "$program"
    inst_multiple dmsetup
    inst_rules 60-era.rules 61-era.rules
    mkdir -p "$initdir/etc"
    era_lines >"$initdir/etc/eratab"
    if dracut_module_included systemd; then
        # Units of systemd's, in the order that it knows.
        mkdir -p "$initdir/usr/lib/systemd/system-generators"
        ln -sf "$program" "$initdir/usr/lib/systemd/system-generators/era-generator"
    else
        inst_hook cmdline 90 "$moddir/era-parse.sh"
        inst_hook initqueue/settled 30 "$moddir/era-open.sh"
    fi
}
