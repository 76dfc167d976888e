# SPDX-License-Identifier: GPL-3.0-or-later
# `era create` fails in the middle: nothing is left of it. Where it was killed, something is, and one command goes on from
# there. What is open keeps its header.

own_etc
data=$(new_disk data 4M)
meta=$(new_disk meta 8M)
disks="$data $meta"
mkfs.ext4 -q "$data"
create="era create vol --data $data --meta $meta"

# The kernel has no dm-era. Random bytes come back; --force is for those.
modprobe=$(</proc/sys/kernel/modprobe)
echo /bin/false >/proc/sys/kernel/modprobe
refuses "the kernel refuses the table" $create
head -c 8M /dev/urandom | dd of="$meta" bs=1M iflag=fullblock oflag=direct status=none
refuses "the kernel refuses the table" $create --force
blkdiscard --zeroout "$meta"
echo "$modprobe" >/proc/sys/kernel/modprobe

# killed_at STEP
killed_at() {
    local status=0
    echo "killed at $1"
    ERA_FAILPOINT=$1=kill $create >/dev/null || status=$?
    assert_equal 137 $status "status of a create that was killed at $1"
    [ ! -e /etc/eratab ] || fail "there is a line already"
}
assert_open() {
    assert_same_disk /dev/mapper/vol before
    era changed vol --since 0 --total >total
}
cp /run/disks/data before
for step in life-zeroed life-written; do
    killed_at $step
    assert_equal "No devices found" "$(dmsetup ls)" "devices"
    $create --force
    assert_open
    era remove vol
    rm /etc/eratab
done
for step in life-written life-half-up life-up; do
    killed_at $step
    era open --meta "$meta"
    assert_open
    era remove --meta "$meta"
    killed_at $step
    era remove --meta "$meta"
    assert_equal "No devices found" "$(dmsetup ls)" "devices"
    assert_equal "" "$(blkid -p "$meta" || true)" "what the metadata device holds"
done
assert_same_disk "$data" before

# The last step fails, and the device cannot be closed again, as somebody has opened it.
mkdir /etc/eratab.new
ERA_FAILPOINT=life-up=stop $create >stdout 2>stderr &
sender=$!
wait_until is_stopped $sender
exec 7</dev/mapper/vol
kill -CONT $sender
status=0
wait $sender || status=$?
exec 7<&-
assert_equal 2 $status "status of a create that cannot close again"
assert_message "/etc/eratab: cannot change.*vol could not be closed again.*era remove --meta $meta"
assert_message "add this line to /etc/eratab: vol $data $meta -"
assert_open
rmdir /etc/eratab.new
echo "vol $data $meta -" >/etc/eratab
era close vol
era open vol
assert_open
era remove vol
assert_same_disk "$data" before
