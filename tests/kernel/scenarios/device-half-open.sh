# SPDX-License-Identifier: GPL-3.0-or-later
# A crash leaves any part of the stack: opening completes it, closing takes it down, nothing is there twice; marks are as
# they were.
# time limit: 400

create_stack vol 16M 16M
# By this the data device, which has no name, is recognized after a crash.
mkswap -q /dev/mapper/vol
era close --meta "$meta"
era open --meta "$meta"
cursor=
send vol mirror
write_blocks /dev/mapper/vol 1024 5 1
dmsetup table | sort >whole
layers="vol vol-data vol-meta vol-cow"

# crash_to LAYER...: only these are left. Whatever is on top goes first.
crash_to() {
    local layer
    for layer in $layers; do
        case " $* " in
        *" $layer "*) ;;
        *) dmsetup remove $layer ;;
        esac
    done
}
assert_whole() {
    dmsetup table | sort >now
    assert_same whole now
    assert_nothing_left vol
    assert_equal "5 6" "$(era changed vol --since "$cursor")" "marks"
}

for left in "" vol-data vol-meta vol-cow "vol-data vol-meta" "vol-data vol-cow" "vol-meta vol-cow" \
    "vol-data vol-meta vol-cow" "vol vol-data vol-meta"; do
    crash_to $left
    era open --meta "$meta"
    assert_whole
    crash_to $left
    era close --meta "$meta"
    assert_equal "No devices found" "$(dmsetup ls)" "devices after closing what was left: $left"
    era open --meta "$meta"
    assert_whole
done

# Made, but without a table; with a table that is not in use; suspended; without a node.
crash_to vol-data vol-meta vol-cow
dmsetup create vol --notable --uuid "$(dmsetup info -c --noheadings -o uuid vol-data | sed 's/-data$//')"
era open --meta "$meta"
assert_whole
dmsetup suspend vol-cow
dmsetup suspend vol-data
dmsetup suspend vol
era open --meta "$meta"
assert_whole
dmsetup suspend vol
dmsetup suspend vol-data
dmsetup load vol-data --table "0 $(sectors_of "$data") snapshot-origin $data"
era open --meta "$meta"
assert_whole
dmsetup load vol-data --table "0 $(sectors_of "$data") snapshot-origin $data"
dmsetup suspend vol-data
dmsetup resume vol-data
era open --meta "$meta"
assert_whole
rm /dev/mapper/vol /dev/mapper/vol-data
era open --meta "$meta"
assert_whole

# A foreign device in the place of a layer is neither used nor touched.
crash_to vol-data vol-meta
dmsetup create vol-cow --table "0 8 zero"
dmsetup table | sort >before
assert_exit 2 era open --meta "$meta"
assert_message "vol-cow: there is a device of this name that is not of this stack"
dmsetup table | sort >after
assert_same before after
assert_exit 2 era close --meta "$meta"
dmsetup remove vol-cow
era open --meta "$meta"
assert_whole
