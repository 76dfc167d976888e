# SPDX-License-Identifier: GPL-3.0-or-later
# What `era create` refuses: it says why and what to do, and nothing has changed.
# time limit: 400
# needs: lvm sfdisk

own_etc
data=$(new_disk data 8M)
meta=$(new_disk meta 8M)
disks="$data $meta"
# Mounted, it must not be written to by the kernel in the background.
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$data"
create="era create vol --data $data --meta $meta"

mount "$data" /run/mnt
refuses "$data: the device is in use" $create
umount /run/mnt
dmsetup create holder --table "0 $(sectors_of "$data") linear $data 0"
refuses "$data: the device is in use" $create
dmsetup remove holder
dmsetup create holder --table "0 $(sectors_of "$meta") linear $meta 0"
refuses "$meta: the device is in use" $create
dmsetup remove holder

# A metadata device that holds something.
holds() {
    refuses "$meta: metadata device holds $1.*--force" $create
    blkdiscard --zeroout "$meta"
}
mkfs.ext4 -q "$meta"
holds "an ext4 filesystem"
mkswap -q "$meta"
holds "a signature of swap"
lvm pvcreate -qq --config 'devices{use_devicesfile=0} global{locking_type=1}' "$meta"
holds "a signature of LVM2_member"
printf 'LUKS\272\276\0\1' | dd of="$meta" conv=notrunc oflag=sync status=none
holds "a signature of crypto_LUKS"
printf 'label: gpt\n,4M\n' | sfdisk -q --no-reread "$meta"
holds "a partition table (gpt)"
printf 'label: dos\n,4M\n' | sfdisk -q --no-reread "$meta"
holds "a partition table (dos)"
# md keeps the superblock of version 1.2 at 4 KiB: magic, version, and where it is.
dd if=/dev/zero bs=1 count=256 status=none >md
printf '\374\116\053\251\1\0\0\0' | dd of=md conv=notrunc status=none
printf '\10' | dd of=md bs=1 seek=144 conv=notrunc status=none
dd if=md of="$meta" bs=256 seek=16 conv=notrunc status=none
holds "a signature of linux_raid_member"
make_era bare "$data" "$meta" 128
dmsetup remove bare
holds "data of an unknown kind"
echo garbage | dd of="$meta" conv=notrunc status=none
holds "data of an unknown kind"

era create other --data "$data" --meta "$meta" --no-open --no-eratab
refuses "$meta: has the header of another tracked device" $create
dd if=/dev/urandom of="$meta" bs=1 seek=100 count=1 conv=notrunc status=none
refuses "$meta: has the header of another tracked device" $create
# Beyond repair, it was a header nevertheless.
dd if=/dev/urandom of="$meta" bs=1 seek=$((512 * 1024 + 100)) count=8 conv=notrunc status=none
dd if=/dev/urandom of="$meta" bs=1 seek=100 count=8 conv=notrunc status=none
refuses "$meta: both copies of the header are damaged.*--force" $create
blkdiscard --zeroout "$meta"

# Sizes.
small=$(new_disk small 3M)
disks="$disks $small"
refuses "too small: 6.0 MiB are needed, it has 3.0 MiB" era create vol --data "$data" --meta "$small"
refuses "too small: .* are needed" $create --cow-size 15M
refuses "block size of 6144 bytes is not possible" $create --block-size 6K
refuses "block size of 0 bytes is not possible" $create --block-size 0
refuses "is no size" $create --block-size 64KB
dmsetup create huge --table "0 $((100 << 31)) zero"
refuses "blocks of 4.0 KiB are too many.*use blocks of 128.0 KiB or more" \
    era create vol --data /dev/mapper/huge --meta "$meta" --block-size 4K
dmsetup remove huge

# The wrong devices.
ln -s "$data" link
refuses "is both the data and the metadata device" era create vol --data "$data" --meta "$data"
refuses "is both the data and the metadata device" era create vol --data "$data" --meta link
: >file
refuses "file: is not a block device" era create vol --data file --meta "$meta"
refuses "No such file" era create vol --data /dev/nothing --meta "$meta"

# Names.
for layer in vol vol-data vol-meta vol-cow vol-snap; do
    dmsetup create $layer --table "0 8 zero"
    refuses "$layer: a device of this name exists" $create
    dmsetup remove $layer
done
refuses "has '/' in it" era create a/b --data "$data" --meta "$meta"
echo "vol /dev/a /dev/b" >/etc/eratab
refuses "/etc/eratab: vol is there already" $create
rm /etc/eratab

# A failure in the middle: nothing stays of what was done until then.
mkdir /etc/eratab.new
refuses "/etc/eratab: cannot change" $create --no-open
mkfs.ext4 -q "$meta"
refuses "/etc/eratab: cannot change" $create --no-open --force
blkdiscard --zeroout "$meta"
# dm-era has made its metadata when the last step fails: of those, only that they are forgotten is of interest.
disks=$data
refuses "/etc/eratab: cannot change" $create
rmdir /etc/eratab.new

# And then it works.
$create
assert_equal "vol	$data	$meta	-" "$(grep -v '^#' /etc/eratab)" "line in eratab"
