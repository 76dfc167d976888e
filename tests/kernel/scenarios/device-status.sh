# SPDX-License-Identifier: GPL-3.0-or-later
# What `era status` says, what it looks like in a terminal, and that it never waits for a suspended device.
# needs: tmux

own_etc
data=$(new_disk data 32M)
meta=$(new_disk meta 16M)

# assert_status STATUS LINE...: its exit status, and lines that it prints, blanks squeezed.
assert_status() {
    local status=$1 line
    shift
    assert_exit "$status" era status
    tr -s ' ' <stdout >squeezed
    for line; do
        grep -q "^ *$line\$" squeezed || fail "no line '$line' in: $(cat stdout)"
    done
    era status --json >status.json || [ "$status" = 1 ]
}

assert_status 0
assert_equal "" "$(cat stdout)" "status of nothing"
assert_exit 2 era status vol
assert_message "no such tracked device"

era create vol --data "$data" --meta "$meta" --block-size 64K
assert_status 0 "vol open" "data $data" "metadata $meta" "size 32.0 MiB" "block size 64.0 KiB" "era 1" "discards off" \
    "in use [0-9]* of [0-9]* metadata blocks, [0-9]* %" "cow space 14.0 MiB"
assert_equal 65536 "$(json_number block_size_bytes status.json)" "block size"
assert_equal 1 "$(json_number current_era status.json)" "era"
grep -q '"state":"open","kind":"full"' status.json

# In a real terminal of 80 columns nothing of it wraps.
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
terminal=(env LC_ALL=C.UTF-8 tmux -S terminal -f /dev/null)
"${terminal[@]}" new-session -d -x 80 -y 24 'era status; echo the end; read -r _'
# Lines that the terminal had to break are joined here.
screen_is_whole() {
    "${terminal[@]}" capture-pane -pJ | sed 's/ *$//' >joined
    grep -q "^the end" joined
}
wait_until screen_is_whole
"${terminal[@]}" capture-pane -p | sed 's/ *$//' >screen
"${terminal[@]}" kill-server
assert_same screen joined
tr -s ' ' <screen | grep -q "^ *vol open$" || fail "the screen: $(cat screen)"
umount /dev/pts

take_snapshot vol
assert_status 0 "snapshot a metadata snapshot is held"
drop_snapshot vol

# Suspended, the answer comes at once, and says so.
for layer in vol vol-data vol-meta; do
    dmsetup suspend $layer
    assert_status 1 "vol suspended" "PROBLEM .*$layer is suspended.*era open vol.*"
    dmsetup resume $layer
done
assert_status 0 "vol open"

dmsetup remove vol
assert_status 1 "vol half open" "PROBLEM .*era open vol.*"
era close vol
assert_status 0 "vol closed"
assert_exit 2 era send vol
assert_message "era open vol"

# A snapshot that nobody uses any more.
era open vol
dmsetup create vol-snap --uuid "$(dmsetup info -c --noheadings -o uuid vol)-snap" \
    --table "0 $(sectors_of "$data") snapshot $data /dev/mapper/vol-cow N 8"
assert_status 0 "snapshot is in place.*"
era open vol
assert_nothing_left vol

# The header's copies, and the devices themselves.
era close vol
dd if=/dev/urandom of="$meta" bs=1 seek=100 count=8 conv=notrunc status=none
assert_status 1 "PROBLEM copy 0 of the header: .*mends it"
era open vol
era close vol
assert_status 0
sed -i "s,$data,/dev/nothing," /etc/eratab
assert_status 1 "PROBLEM /dev/nothing: .*"
sed -i "s,/dev/nothing,$data," /etc/eratab
echo "bad line here and there" >>/etc/eratab
assert_status 1 "vol closed"
assert_message "/etc/eratab:3: "
era remove vol 2>/dev/null
rm /etc/eratab

# A bare device.
data=$(new_disk bare-data 64M)
meta=$(new_disk bare-meta 1M)
make_era bare "$data" "$meta" 8
assert_status 0 "bare open, made by hand.*" "block size 4.0 KiB" "data $data" "metadata $meta"
dmsetup suspend bare
assert_status 1 "bare suspended, made by hand.*" "PROBLEM .*dmsetup resume bare.*"
dmsetup resume bare
dmsetup remove bare

# On the smallest metadata device that it works with at all, metadata are nearly full.
for kibibytes in 64 80 96 112 128 144 160 176 192; do
    meta=$(new_disk bare-meta-$kibibytes ${kibibytes}K)
    if make_era bare "$data" "$meta" 8 2>/dev/null; then
        break
    fi
    dmsetup remove bare 2>/dev/null || true
done
assert_status 1 "bare open, made by hand.*" "PROBLEM .*nearly full.*"
assert_exit 1 era status bare
