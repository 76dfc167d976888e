# SPDX-License-Identifier: GPL-3.0-or-later
# `era close --all` closes everything: also what is not opened at boot, and a failure that would not matter at boot is one.

own_etc
data=$(new_disk vol-data 16M)
meta=$(new_disk vol-meta 16M)
era create vol --data "$data" --meta "$meta"
options() {
    sed -i "s/[a-z-]*$/$1/" /etc/eratab
}

for option in noauto nofail; do
    options $option
    era open vol
    exec 7</dev/mapper/vol
    assert_exit 2 era close --all
    assert_message "vol: .*in use"
    assert_message "/etc/eratab: failed: vol"
    exec 7<&-
    era close --all
    assert_equal "No devices found" "$(dmsetup ls)" "devices with $option"
    # It was closed in order.
    assert_exit 0 era open vol
    assert_equal "" "$(cat stderr)" "messages on opening"
    era close --all
    era close --all

    # Nothing has to be there of what may be absent; of what is open, everything.
    mv "$meta" "$meta.gone"
    assert_exit 0 era close --all
    mv "$meta.gone" "$meta"
    era open vol
    mv "$meta" "$meta.gone"
    assert_exit 2 era close --all
    assert_message "vol: $meta: No such file"
    mv "$meta.gone" "$meta"
    era close --all
done
options -
mv "$meta" "$meta.gone"
assert_exit 2 era close --all
mv "$meta.gone" "$meta"
