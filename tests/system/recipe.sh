#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# recipe.sh FILE: a small Debian as a tar file, made of Debian's packages; all that is in it but era. It is made once, as long as
# this file and its arguments stay the same.
set -euo pipefail
new=$1.$$
trap 'rm -f "$new"' EXIT

packages=systemd-sysv,udev,initramfs-tools,lz4,dmsetup,kmod,e2fsprogs,mount,libblkid1,openssh-server,openssh-client,dracut-core
excludes=()
for directory in man doc info locale; do
    excludes+=(--dpkgopt="path-exclude=/usr/share/$directory/*")
done
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ ! -s "$file" ] || sources+=("$file")
done
. /etc/os-release
mmdebstrap --quiet --variant=minbase --mode=root --format=tar --include="$packages" "${excludes[@]}" \
    --aptopt='APT::Install-Recommends "false"' "$VERSION_CODENAME" "$new" "${sources[@]}"
mv "$new" "$1"
