# SPDX-License-Identifier: GPL-3.0-or-later
# Whatever happens to dm-era's metadata while the device is closed, zeroed as users of the classic scripts do, set back to
# an older state, overwritten, after a crash as well: eras that are counted anew are never taken for those of before.
# Tracking begins anew, and cursors of before are refused.

superblock=$((1 << 20))
create_stack vol 4M 4M --cow-size 0
# Closed once: a device that has no name is recognized by this after a crash.
mkswap -q /dev/mapper/vol
era close --meta "$meta"
era open --meta "$meta"

# replace_metadata HOW COMMAND...: takes the stack down by close or crash, and has the command change the metadata.
replace_metadata() {
    cursor=
    send vol mirror
    dd if="$meta" of=metadata-before bs=1M skip=1 iflag=direct status=none
    checkpoint vol
    case $1 in
    close) era close --meta "$meta" ;;
    crash) dmsetup remove vol && dmsetup remove vol-data && dmsetup remove vol-meta ;;
    esac
    "${@:2}"
    era open --meta "$meta" 2>said
    cat said
}
assert_begun_anew() {
    replace_metadata "$@"
    grep "tracking starts a new generation.*: dm-era's metadata $message" said
    # Not only until the count has passed it.
    assert_exit 1 era send vol --since "$cursor"
    assert_message "the cursor is of generation .*a full copy is needed"
}
zero() { dd if=/dev/zero of="$meta" bs=4096 seek=$((superblock / 4096)) count=1 oflag=direct status=none; }
spoil() { dd if=/dev/urandom of="$meta" bs=4096 seek=$((superblock / 4096)) count=1 oflag=direct status=none; }
set_back() { dd if=metadata-before of="$meta" bs=1M seek=1 oflag=direct status=none; }
# dmsetup makes new ones, too.
use_elsewhere() {
    zero
    dmsetup create other-meta --table "0 $(($(sectors_of "$meta") - 2048)) linear $meta 2048"
    make_era other "$data" /dev/mapper/other-meta 1024
    dmsetup remove other
    dmsetup remove other-meta
}

message="were zeroed" assert_begun_anew close zero
message="were zeroed" assert_begun_anew crash zero
message="were damaged or overwritten" assert_begun_anew crash spoil
message="are of era .*, and were of era" assert_begun_anew close use_elsewhere
message="are of era .*, and were of era" assert_begun_anew close set_back
