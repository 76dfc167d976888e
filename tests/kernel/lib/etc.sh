# SPDX-License-Identifier: GPL-3.0-or-later
# /etc is the host's, read-only: what is written there goes to memory.

own_etc() {
    mkdir -p /run/etc/upper /run/etc/work
    mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work etc /etc
    rm -f /etc/eratab
}
