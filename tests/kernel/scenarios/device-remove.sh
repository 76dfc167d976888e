# SPDX-License-Identifier: GPL-3.0-or-later
# Tracking is taken away by the metadata device, with and without a line in eratab; and from a data disk that is gone, with
# which devices are closed, too.

own_etc
create_stack vol 16M 16M
disks="$data $meta"
cp /run/disks/vol-data before
assert_exit 2 era remove vol
assert_message "is not in /etc/eratab; add it there, or name its metadata device with --meta"
assert_exit 2 era remove vol --meta "$meta"
assert_exit 2 era remove
era remove --meta "$meta"
assert_equal "No devices found" "$(dmsetup ls)" "devices"
assert_same_disk "$data" before
refuses "holds no header of era" era remove --meta "$meta"

# The lines that are about this metadata device go, whatever their names; another's of the same name stays.
era create vol --data "$data" --meta "$meta"
other_data=$(new_disk other-data 16M)
other_meta=$(new_disk other-meta 16M)
sed -i 's/^vol/renamed/' /etc/eratab
echo "vol $other_data $other_meta" >>/etc/eratab
era remove --meta "$meta"
assert_equal "vol $other_data $other_meta" "$(grep -v '^#' /etc/eratab)" "lines left in eratab"
rm /etc/eratab

# A disk that is gone: its node is. What is on top of it goes, and is not called clean.
era create vol --data "$data" --meta "$meta"
mv "$data" "$data.gone"
assert_exit 0 era close vol
assert_message "vol: $data: .*closed without it"
assert_equal "No devices found" "$(dmsetup ls)" "devices after closing without the data disk"
assert_exit 0 era close vol
assert_equal "" "$(cat stderr)" "messages about a device that is closed"
assert_exit 2 era open vol
mv "$data.gone" "$data"
assert_exit 0 era open vol
assert_message "was not closed in order"
mv "$data" "$data.gone"
assert_exit 0 era close --meta "$meta"
assert_message "closed without it"
mv "$data.gone" "$data"
era open vol

# One that has come back as another device may have been written to meanwhile.
again=$(losetup --find --show /run/disks/vol-data)
sed -i "s,$data,$again," /etc/eratab
assert_exit 0 era close vol
assert_message "$again: is not the device that it was open on; closed without it"
assert_exit 0 era open vol
assert_message "was not closed in order"
era close vol
sed -i "s,$again,$data," /etc/eratab

# Removed without its data disk, but only what the name is of: nothing else tells a wrong line then.
era create other --data "$other_data" --meta "$other_meta"
era open vol
mv "$data" "$data.gone"
disks="$meta $other_meta"
cp /etc/eratab eratab
sed -i "/^vol/s,$meta,$other_meta," /etc/eratab
refuses "vol: its data device is not there, and $other_meta has the header of other" era remove vol
cp eratab /etc/eratab
assert_exit 0 era remove vol
assert_message "closed without it"
assert_equal "vol: no longer tracked" "$(cat stdout)" "what removing says"
assert_equal "other	$other_data	$other_meta	-" "$(grep -v '^#' /etc/eratab)" "lines left in eratab"
assert_exit 2 era open --meta "$meta"
assert_message "holds no header of era"
mv "$other_data" "$other_data.gone"
era remove --meta "$other_meta"
assert_equal "" "$(grep -v '^#' /etc/eratab || true)" "lines left in eratab"
assert_equal "No devices found" "$(dmsetup ls)" "devices"
