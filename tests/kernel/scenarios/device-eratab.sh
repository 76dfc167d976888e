# SPDX-License-Identifier: GPL-3.0-or-later
# Lines of /etc/eratab: devices by path and by tag, options, and lines that are wrong, which do not spoil the others.
# needs: sfdisk

own_etc
disk=$(new_disk disk 96M)
printf 'label: gpt\n,24M\n,8M\n,24M\n,8M\n' | sfdisk -q --no-reread "$disk" 2>/dev/null
losetup -d "$disk"
disk=$(losetup --find --show --partscan /run/disks/disk)
for i in 1 2 3 4; do
    part[i]=$(blkid -po value -s PART_ENTRY_UUID "${disk}p$i")
done
mkfs.ext4 -q -U 11111111-2222-4333-8444-555555555555 -L one "${disk}p1"
mkfs.ext4 -q -L two "${disk}p3"

era create one --data "${disk}p1" --meta "${disk}p2"
assert_equal "one	PARTUUID=${part[1]}	PARTUUID=${part[2]}	-" "$(grep -v '^#' /etc/eratab)" "line in eratab"
era create two --data "${disk}p3" --meta "${disk}p4"
era close --all

# try_line DATA META OPTIONS
try_line() {
    echo "one $1 $2 $3" >/etc/eratab
    era open --all
    dmsetup table one-data | grep -q " $(mountpoint -x "${disk}p1") 0"
    # The filesystem is seen on three devices now: the same one is meant.
    era open one
    era status one
    era close --all
    assert_equal "No devices found" "$(dmsetup ls)" "devices"
}
try_line "${disk}p1" "${disk}p2" ""
try_line "PARTUUID=${part[1]}" "PARTUUID=${part[2]}" none
try_line UUID=11111111-2222-4333-8444-555555555555 "PARTUUID=${part[2]}" -
try_line LABEL=one "PARTUUID=${part[2]}" nofail,x-initrd.attach
try_line 'LABEL="one"' "PARTUUID=\"${part[2]}\"" x-something=1

# A bad line is named, and the others are opened.
cat >/etc/eratab <<END
# comment
one LABEL=one PARTUUID=${part[2]} fast

two LABEL=two PARTUUID=${part[4]}
END
assert_exit 2 era open --all
assert_message '/etc/eratab:2: the option "fast" is not'
assert_message '/etc/eratab: failed: line 2'
dmsetup table two | grep -q era || fail "two is not open"
era close two

# The wrong data device, and one that is not there. With nofail that is only a warning, with noauto nothing.
for options in - nofail noauto; do
    for wrong in "LABEL=two" "LABEL=three"; do
        cat >/etc/eratab <<END
one $wrong PARTUUID=${part[2]} $options
two LABEL=two PARTUUID=${part[4]}
END
        case $options in -) status=2 ;; *) status=0 ;; esac
        assert_exit $status era open --all
        case $options-$wrong in
        noauto-*) assert_equal "" "$(cat stderr)" "messages" ;;
        *-LABEL=two) assert_message "one: .*is not the recorded data device: recorded is partuuid ${part[1]}" ;;
        *) assert_message "one: LABEL=three: no such device" ;;
        esac
        assert_equal 4 "$(dmsetup ls | wc -l)" "devices that are open"
        era close two
        assert_exit 2 era open one
        assert_equal "No devices found" "$(dmsetup ls)" "devices"
    done
done

# A disk that comes late is waited for, one by one; one that never comes is told of.
echo "one PARTUUID=${part[1]} /dev/mapper/late" >/etc/eratab
for which in one --all; do
    era open $which --wait 600 2>waiting &
    opening=$!
    wait_until has_line "one: waiting for /dev/mapper/late" waiting
    assert_equal "No devices found" "$(dmsetup ls)" "devices before all disks are there"
    dmsetup create late --table "0 $(sectors_of "${disk}p2") linear ${disk}p2 0"
    wait $opening
    dmsetup table one | grep -q era || fail "one is not open"
    # Closing waits for who still uses it.
    exec 7</dev/mapper/one
    assert_exit 2 era close $which
    assert_message "one: is in use"
    era close $which --wait 600 2>waiting 7<&- &
    closing=$!
    wait_until has_line "one: waiting until nothing uses it" waiting
    exec 7<&-
    wait $closing
    dmsetup remove late
    assert_exit 2 era open $which --wait 1
    assert_message "one: waiting for /dev/mapper/late"
    assert_message "one: /dev/mapper/late: .*No such file"
    assert_equal "No devices found" "$(dmsetup ls)" "devices without a disk"
done

# Without a table: the header knows the data device.
rm /etc/eratab
era open --meta "${disk}p2"
dmsetup table one-data | grep -q " $(mountpoint -x "${disk}p1") 0"
era close --meta "${disk}p2"
