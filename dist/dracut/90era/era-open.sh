#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# dracut without systemd: opens the tracked devices whose disks have come. Called again and again until the root device is
# there; dracut gives up and opens a shell by itself.

if getargbool 1 era.attach; then
    era open --all --initrd >/run/era-opened || warn "era: a tracked device cannot be opened yet, see above"
fi
