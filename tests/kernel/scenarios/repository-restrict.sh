# SPDX-License-Identifier: GPL-3.0-or-later
# `era backup` of a live filesystem, pulled and pushed, where the other side is `era restrict`, as sshd starts it with what the
# client asks for. A key for one device or one repository is enough for a first copy, increments, and tracking that began anew.

create_stack vol 48M 32M --block-size 64K
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
random_bytes $((8 << 20)) >/run/mnt/file

# restricted_to OPTIONS: from now on, the other side lets that be done.
restricted_to() {
    printf '#!/bin/sh\nSSH_ORIGINAL_COMMAND=$2 SSH_CLIENT="192.0.2.7 50022 22" exec era restrict %s\n' "$*" >other
    chmod +x other
}

pull() {
    restricted_to --send vol "$@"
    era backup --rsh "$PWD/other" host:vol "$PWD/pulled" --json >done.json
}

push() {
    restricted_to --receive "$PWD/pushed"
    era backup --rsh "$PWD/other" vol "host:$PWD/pushed" --json >done.json
}

start_writer /run/mnt
for round in 1 2; do
    let_writer_work 3
    pull
    push
    for repo in pulled pushed; do
        cp $repo/image image
        e2fsck -fn image
    done
    assert_nothing_left vol
done
stop_writer
has_line '"kind":"increment"' done.json || fail "$(<done.json)"

# What the key says of consistency is what is done, though the client does not ask for it.
pull --consistency freeze
has_line '"consistency":"freeze"' done.json || fail "$(<done.json)"
assert_nothing_left vol
umount /run/mnt

era close --meta "$meta"
era open --meta "$meta" --new-generation
for go in pull push; do
    $go 2>said
    grep "tracking began anew" said
    has_line '"kind":"difference"' done.json || fail "$(<done.json)"
done
for repo in pulled pushed; do
    assert_same_disk /dev/mapper/vol $repo/image
    era verify $repo
done

# Another device, and more than the key is for.
restricted_to --send other
assert_exit 2 era backup --rsh "$PWD/other" host:vol "$PWD/pulled"
assert_message "refused: vol is not a device of this key"
restricted_to --receive "$PWD/pulled"
assert_exit 2 era backup --rsh "$PWD/other" vol "host:$PWD/pushed"
assert_message "refused: $PWD/pushed is not the repository of this key"
