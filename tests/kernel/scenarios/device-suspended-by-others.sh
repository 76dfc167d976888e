# SPDX-License-Identifier: GPL-3.0-or-later
# A device that somebody else has suspended, to change its table perhaps, is refused by `era send` and `era changed`, and
# stays as it is; `era open`, which is told to put it in order, resumes it.

create_stack vol 32M 16M
cursor=
send vol mirror
table="0 $(sectors_of "$data") linear $data 0"

for layer in vol vol-data vol-cow; do
    dmsetup suspend $layer
    for command in "send vol" "changed vol --since 1"; do
        assert_exit 2 era $command
        assert_message "$layer: is suspended or about to be changed.*era open vol"
    done
    assert_equal Suspended "$(dmsetup info -c --noheadings -o suspended $layer)" "$layer"
    era open --meta "$meta"
    assert_nothing_left vol
done

dmsetup load vol-data --table "$table"
assert_exit 2 era send vol
assert_message "vol-data: is suspended or about to be changed"
dmsetup resume vol-data
assert_nothing_left vol

make_era bare "$(new_disk bare-data 8M)" "$(new_disk bare-meta 2M)" 8
dmsetup suspend bare
assert_exit 2 era send bare
assert_message "bare: is suspended.*dmsetup resume bare"
dmsetup resume bare
assert_nothing_left bare
send vol mirror
assert_same_disk /dev/mapper/vol mirror
