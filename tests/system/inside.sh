# SPDX-License-Identifier: GPL-3.0-or-later
# What runs in each boot of the whole-system test, as root under systemd, when the machine is up. Then it goes off, in order but
# where the power is cut.
set -Eeuo pipefail
host=/run/host
exec >>$host/output 2>&1
echo "=== boot $ERA_TEST_BOOT: $(</proc/cmdline)"

fail() {
    echo "failed: $*"
    journalctl --no-pager -b | tail -n 60
    exit 1
}
finish() {
    local status=$?
    [ $status != 0 ] || echo done >$host/result
    systemctl poweroff 2>/dev/null || true
}
trap 'echo "failed: $BASH_COMMAND (line $LINENO)"' ERR
trap finish EXIT

root_is() {
    [ "$(findmnt -no SOURCE /)" = "$1" ] || fail "/ is on $(findmnt -no SOURCE /), not on $1"
}
root_uuid=11111111-2222-4333-8444-555555555555
data_uuid=22222222-3333-4444-8555-666666666666
# root_uuid_is DEVICE
root_uuid_is() {
    [ "$(readlink -f /dev/disk/by-uuid/$root_uuid)" = "$(readlink -f "$1")" ] || fail "$(ls -l /dev/disk/by-uuid)"
}
# generation NAME
generation() {
    era status "$1" --json | sed -n 's/.*"generation":"\([^"]*\)".*/\1/p'
}
# goes_on NAME: tracking is what it was in the second boot.
goes_on() {
    [ "$(generation "$1")" = "$(cat $host/generation-"$1")" ] || fail "$1: another generation"
}
# opening NAME: what opening the device said. In an initial ramdisk without systemd that goes to a file.
opening() {
    if [ "$1" = root ] && [ -e /run/era-opened ]; then
        cat /run/era-opened
    else
        journalctl -b -o cat -u "era@$1.service"
    fi >/run/opening
    grep -q "$1: opened" /run/opening || fail "$1: was not opened at boot: $(cat /run/opening)"
    cat /run/opening
}
# said NAME PATTERN
said() {
    opening "$1" | grep -q "$2" || fail "opening $1 said nothing of: $2; but: $(cat /run/opening)"
}
# in_order NAME: it had been closed in order.
in_order() {
    ! opening "$1" | grep warning || fail "opening $1 warned"
}
# when PROPERTY UNIT: in microseconds.
when() {
    systemctl show -P "${1}TimestampMonotonic" "$2"
}
# The filesystem on the other tracked device is where fstab says, by UUID and by the name of the device; it was checked before it
# was mounted, and who knows the name has waited for the unit.
data_is_mounted() {
    local opened checked mounted by_name
    [ "$(findmnt -no SOURCE /srv)-$(findmnt -no SOURCE /srv/by-name)" = /dev/mapper/data-/dev/mapper/data ] || fail "$(findmnt)"
    opened=$(when ActiveEnter era@data.service)
    checked=$(when InactiveExit "systemd-fsck@$(systemd-escape --path /dev/disk/by-uuid/$data_uuid).service")
    mounted=$(when InactiveExit srv.mount)
    by_name=$(when InactiveExit "$(systemd-escape --path --suffix=mount /srv/by-name)")
    [ "$opened" -gt 0 ] && [ "$opened" -le "$by_name" ] && [ "$checked" -gt 0 ] && [ "$checked" -le "$mounted" ] ||
        fail "opened at $opened, checked at $checked, mounted at $mounted and $by_name"
    echo "$ERA_TEST_BOOT" >/srv/boot
}

nothing_failed() {
    local failed
    failed=$(systemctl list-units --state=failed --plain --no-legend)
    [ -z "$failed" ] || fail "units failed: $failed"
}
# refuses_to_go PATTERN: the package cannot be removed, says why, and is whole.
refuses_to_go() {
    ! dpkg --no-triggers -r era >/run/dpkg 2>&1 || fail "the package was removed"
    grep -q "$1" /run/dpkg || fail "removing the package said nothing of: $1; but: $(cat /run/dpkg)"
    [ "$(dpkg-query -Wf '${db:Status-Status}' era)" = installed ] || fail "$(dpkg -s era)"
}
# Sets $writer, and waits until it writes.
start_writer() {
    mkdir -p /var/load
    cd /run
    rm -f writer-rounds
    perl $host/writer.pl /var/load &
    writer=$!
    until [ -e writer-rounds ]; do sleep 0.1; done
}

# A plain system. What is to come needs one command. A second device, which is not in use, is tracked at once.
boot_1() {
    root_is /dev/ubda1
    nothing_failed
    era create data --data /dev/ubda3 --meta /dev/ubda4
    printf '%s\n' "UUID=$data_uuid /srv ext4 defaults 0 2" "/dev/mapper/data /srv/by-name ext4 defaults 0 0" >>/etc/fstab
    cp /etc/fstab $host/fstab
    cp /boot/loader/entries/debian.conf $host/entry
    era create root --data /dev/ubda1 --meta /dev/ubda2 --at-boot --apply
    cmp /etc/fstab.before-era-root $host/fstab
    systemctl daemon-reload
    systemctl start era@data.service
    systemd-analyze verify --man=no /run/systemd/generator/era{@root.service,@data.service,.target} >$host/verify 2>&1 ||
        fail "systemd-analyze verify: $(cat $host/verify)"
    [ ! -s $host/verify ] || fail "systemd-analyze verify: $(cat $host/verify)"
}

# / is the tracked device. A backup under load.
boot_2() {
    root_is /dev/mapper/root
    nothing_failed
    in_order root
    root_uuid_is /dev/mapper/root
    [ "$(readlink -f /dev/disk/by-partuuid/*1)" = /dev/ubda1 ] || fail "$(ls -l /dev/disk/by-partuuid)"
    in_order data
    data_is_mounted
    generation root >$host/generation-root
    generation data >$host/generation-data
    # What is marked noauto is opened for who mounts it; what is marked nofail and never comes keeps nobody waiting.
    sed -i '/^data/s/-$/noauto/' /etc/eratab
    echo "gone PARTUUID=${data_uuid} PARTUUID=${root_uuid} nofail" >>/etc/eratab
    echo before >/var/marker
    start_writer
    era backup root $host/repository
    kill $writer
}

# It was left in order: tracking goes on, and the increment comes over ssh. Then the power is cut under load.
boot_3() {
    root_is /dev/mapper/root
    nothing_failed
    in_order root
    goes_on root
    in_order data
    goes_on data
    data_is_mounted
    [ "$(systemctl is-active era@gone.service)" = inactive ] || fail "$(systemctl status era@gone.service)"
    sed -i -e '/^gone/d' -e '/^data/s/noauto$/-/' /etc/eratab
    era backup root@localhost:root $host/repository
    start_writer
    echo survives >/var/survivor
    sync
    local round
    round=$(<writer-rounds)
    until [ "$(<writer-rounds)" != "$round" ]; do sleep 0.1; done
    : >$host/power-cut
    exec sleep infinity
}

# All that was written is tracked: the increments make what the device is.
boot_4() {
    root_is /dev/mapper/root
    nothing_failed
    said root "was not closed in order"
    goes_on root
    said data "was not closed in order"
    goes_on data
    data_is_mounted
    [ "$(cat /var/survivor)" = survives ]
    start_writer
    era backup root@localhost:root $host/repository
    kill $writer
    era verify $host/repository root
}

# Without tracking, for once; of what the initial ramdisk would have opened.
boot_5() {
    root_is /dev/ubda1
    nothing_failed
    dmesg | grep "era: root: NOT TRACKED"
    ! dmsetup ls | grep -q root || fail "$(dmsetup ls)"
    root_uuid_is /dev/ubda1
    in_order data
    goes_on data
    data_is_mounted
    refuses_to_go "would not without era: root"
    echo bypassed >/var/bypassed
}

# What was written meanwhile is noticed, and the next backup, by the timer's unit, has it.
boot_6() {
    root_is /dev/mapper/root
    nothing_failed
    said root "something wrote to the data device while it was closed"
    [ "$(generation root)" != "$(cat $host/generation-root)" ] || fail "the same generation"
    in_order data
    goes_on data
    mkdir -p /etc/era/backup
    printf 'source = "root"\nrepository = "%s"\n' $host/repository >/etc/era/backup/root.toml
    systemctl start era-backup@root.service || fail "$(journalctl -b -u era-backup@root.service)"
    journalctl -b -o cat -u era-backup@root.service | grep "point 4"
}

# The image of the backup, written over the disk from outside, is the system again.
boot_7() {
    root_is /dev/mapper/root
    nothing_failed
    said root "new generation"
    [ "$(cat /var/marker /var/survivor /var/bypassed)" = "$(printf 'before\nsurvives\nbypassed')" ]
    era remove root
    cmp /etc/fstab $host/fstab
    cmp /boot/loader/entries/debian.conf $host/entry
    ! grep -q '^root' /etc/eratab
    [ "$(cat /srv/boot)" = 5 ] || fail "the data are those of boot $(cat /srv/boot)"
    umount -R /srv
    era remove data
    sed -i '/srv/d' /etc/fstab
    # It is not needed any more, but is open until the next boot.
    refuses_to_go "tracked devices are open: root"
    for left in '/etc/*.before-era-*' '/etc/kernel/*.before-era-*' '/boot/loader/entries/*.before-era-*' \
        '/var/lib/era/at-boot/*'; do
        ! compgen -G "$left" || fail "something is left"
    done
}

# Plain again. The package goes, and what is the administrator's stays.
boot_8() {
    root_is /dev/ubda1
    nothing_failed
    [ "$(dmsetup ls)" = "No devices found" ] || fail "$(dmsetup ls)"
    root_uuid_is /dev/ubda1
    mkdir -p /etc/era/backup
    echo 'source = "root"' >/etc/era/backup/root.toml
    # The initial ramdisk would be made anew, which takes its time.
    dpkg --no-triggers --purge era
    [ "$(dpkg-query -Wf '${db:Status-Status}' initramfs-tools)" = triggers-pending ] || fail "no trigger"
    ! dpkg-query -W era 2>/dev/null || fail "$(dpkg -s era)"
    ! command -v era || fail "era is still there"
    [ "$(head -n 1 /etc/eratab)" = "# The administrator's own." ] || fail "$(cat /etc/eratab)"
    [ -e /etc/era/backup/root.toml ] && [ ! -e /var/lib/era ]
}

"boot_$ERA_TEST_BOOT"
