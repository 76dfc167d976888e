# SPDX-License-Identifier: GPL-3.0-or-later
# The name in eratab is changed while the device is open: what is open is found by its uuid. It is neither taken for closed
# nor opened a second time, and its header stays until nothing uses the disks any more.

own_etc
data=$(new_disk vol-data 16M)
meta=$(new_disk vol-meta 16M)
disks="$data $meta"
era create vol --data "$data" --meta "$meta"
rename() {
    sed -i "s/^$1\t/$2\t/" /etc/eratab
}

rename vol new
refuses "new: is open as vol; .era close new" era open new
assert_exit 1 era status new
grep "PROBLEM .*is open as vol" stdout
exec 7</dev/mapper/vol
refuses "vol: is in use" era close new
refuses "vol: is in use" era remove new
exec 7<&-
assert_exit 0 era close new
assert_equal "new: closed; it was open as vol" "$(cat stdout)" "what closing says"
assert_equal "No devices found" "$(dmsetup ls)" "devices after closing"
era open new
assert_exit 0 era status new

# Somebody renames devices themselves: one layer, or all.
dmsetup rename new odd
assert_exit 0 era close new
assert_equal "No devices found" "$(dmsetup ls)" "devices after a layer was renamed"
era open new
rename new vol
assert_exit 0 era close --all
assert_equal "No devices found" "$(dmsetup ls)" "devices"

# What uses the raw disks keeps them from being wiped.
era open vol
rename vol new
for disk in $disks; do
    era close new
    dmsetup create holder --table "0 $(sectors_of "$disk") linear $disk 0"
    refuses "$disk: the device is in use" era remove new
    dmsetup remove holder
done
era open new
rename new vol
era remove vol
assert_equal "No devices found" "$(dmsetup ls)" "devices after removing"
assert_equal "" "$(grep -v '^#' /etc/eratab || true)" "lines in eratab"
assert_equal "" "$(blkid -p "$meta" || true)" "what the metadata device holds"
