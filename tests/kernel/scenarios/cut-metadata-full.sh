# SPDX-License-Identifier: GPL-3.0-or-later
# dm-era begins an era at each resume, for which its metadata must have room. Where they have not, `era send` and `era changed`
# refuse before anything is suspended, with numbers; where they have, the cut works. A device made by hand that lost
# its dm-era, as the metadata failed after that check, goes on, and is refused until it is put in order.

data=$(new_disk data 64M)
meta=$(new_disk meta 2M)
# make_bare SECTORS_OF_METADATA: fails where that is too small for dm-era at all.
make_bare() {
    dd if=/dev/zero of="$meta" bs=4096 count=1 oflag=direct status=none
    dmsetup create vol-m --table "0 $1 linear $meta 0"
    make_era vol "$data" /dev/mapper/vol-m 8 2>/dev/null || { remove_bare; return 1; }
}
remove_bare() {
    dmsetup remove vol 2>/dev/null || true
    dmsetup remove vol-m
}

outcomes=
for size in 128 160 192 224 256 384 512 640; do
    if ! make_bare $size; then
        outcomes+=" none"
        continue
    fi
    status=0
    era send vol --consistency none 2>said >stream || status=$?
    assert_nothing_left vol
    case $status in
    0) outcomes+=" sent" ;;
    2)
        outcomes+=" refused"
        grep "vol: its metadata are nearly full: [0-9]* of $((size / 8)) blocks .* larger" said
        # A pass uses more of them than this.
        if [ $size -le 256 ]; then
            assert_exit 2 era changed vol --since 1
            assert_message "nearly full"
        fi
        ;;
    *) fail "$(<said)" ;;
    esac
    remove_bare
done
echo "$outcomes"
[[ $outcomes =~ ^(\ none)+(\ refused)+(\ sent)+$ ]] || fail "$outcomes"

make_bare 640
cursor=
send vol mirror
start_paused vol armed --consistency none
dmsetup load vol-m --table "0 640 error"
dmsetup suspend vol-m
dmsetup resume vol-m
status=0
kill -CONT $sender
wait $sender || status=$?
cat said
assert_equal 2 $status "status of the sender"
grep "vol: NOT TRACKED" said
assert_equal linear "$(dmsetup table vol | cut -d ' ' -f 3)" "target"
write_blocks /dev/mapper/vol 8 5 1
for command in "send vol" "changed vol --since 1"; do
    assert_exit 2 era $command
    assert_message "NOT TRACKED.*zeros"
done
assert_exit 1 era status
grep "vol *open, NOT TRACKED" stdout

# With dm-era on it again, what was written meanwhile is nowhere: it takes more to be believed.
remove_bare
make_bare 640
assert_exit 2 era send vol --since "$cursor"
assert_message "NOT TRACKED.*remove /run/era/vol"
rm -r /run/era/vol
cursor=
send vol mirror
assert_same_disk "$data" mirror
