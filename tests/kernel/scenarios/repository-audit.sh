# SPDX-License-Identifier: GPL-3.0-or-later
# Something writes past the tracker: samples of each run find it sooner or later, comparing everything finds it at once, and it
# can be mended. What is written in order meanwhile is no false alarm.
# time limit: 120

create_stack vol 16M 16M --block-size 64K
write_blocks /dev/mapper/vol 128 0 256
era backup vol repo

# In order, and under a writer.
assert_exit 0 era verify repo vol
keep_rewriting() {
    until [ -e rewriting-stop ]; do
        write_blocks /dev/mapper/vol 128 $((RANDOM % 256)) 1
    done
}
keep_rewriting &
writer=$!
for _ in 1 2 3; do
    assert_exit 0 era verify repo vol
    era backup vol repo --audit 1 --json >done.json
    [ "$(json_number audited_units done.json)" -ge 1 ] || fail "$(<done.json)"
done
: >rewriting-stop
wait $writer
era backup vol repo

# Behind dm-era's back, of block 77.
dd if=/dev/urandom of="$data" bs=64K seek=77 count=1 oflag=direct conv=notrunc status=none
assert_exit 1 era verify repo vol
assert_equal "bytes $((77 * 65536)) to $((78 * 65536 - 1)) of the device differ" "$(<stdout)" "what differs"
assert_exit 1 era verify repo vol --json
assert_equal 1 "$(json_number differing_units stdout)" "units that differ"
# A quarter of the blocks in each run: it is found in one of the next four.
found=no
for _ in 1 2 3 4; do
    status=0
    era backup vol repo --audit 4 2>said || status=$?
    if [ $status = 2 ]; then
        found=yes
        grep "SUSPECT: 1 of [0-9]* blocks that were not written.*era verify --repair" said
        break
    fi
done
[ $found = yes ] || fail "nothing was found in four runs"
# Nor is it forgotten by a run that looks elsewhere.
point=$(last_point repo)
assert_exit 2 era backup vol repo --audit 0
assert_message "SUSPECT: since point $point: 1 of [0-9]* blocks"
era points repo >points
grep SUSPECT points
assert_differ "$data" repo/image

era verify repo vol --repair
assert_exit 0 era verify repo vol
assert_same_disk "$data" repo/image
era points repo | grep "repair: 1 blocks differed"
era backup vol repo --audit 1
era verify repo

# Damage in the repository itself is found in the same way.
dd if=/dev/urandom of=repo/image bs=64K seek=5 count=1 conv=notrunc status=none
assert_exit 1 era verify repo
grep "bytes $((5 * 65536)) to" stdout
# What the device still has, it gives back, to every point that had it.
cp "$data" reference
write_blocks /dev/mapper/vol 128 9 1
assert_exit 1 era verify repo vol
assert_equal "bytes $((5 * 65536)) to $((6 * 65536 - 1)) of the device differ" "$(<stdout)" "what is damaged"
assert_exit 0 era verify repo vol --repair
era points repo | grep "1 damaged blocks of the image are again what they were"
assert_exit 0 era verify repo
assert_exit 0 era verify repo vol
era restore repo@latest~1 restored
assert_same_disk reference restored
