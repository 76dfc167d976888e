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
generation() {
    era status root --json | sed -n 's/.*"generation":"\([^"]*\)".*/\1/p'
}
# said PATTERN: what opening the device in the initial ramdisk said, which goes to a file.
said() {
    grep -q "$1" /run/era-opened || fail "opening said nothing of: $1; but: $(cat /run/era-opened)"
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
write_all_the_time() {
    local round
    mkdir -p /var/load
    for ((round = 0; ; round++)); do
        head -c 100000 /dev/urandom >/var/load/$((round % 50))
        sync /var/load/$((round % 50))
        echo "$round" >/run/round
    done
}
# Sets $writer, and waits until it writes.
start_writer() {
    rm -f /run/round
    write_all_the_time &
    writer=$!
    until [ -e /run/round ]; do sleep 0.1; done
}

# A plain system. What is to come needs one command.
boot_1() {
    root_is /dev/ubda1
    nothing_failed
    cp /etc/fstab $host/fstab
    cp /boot/loader/entries/debian.conf $host/entry
    era create root --data /dev/ubda1 --meta /dev/ubda2 --at-boot --apply
    cmp /etc/fstab.before-era-root $host/fstab
}

# / is the tracked device. A backup under load.
boot_2() {
    root_is /dev/mapper/root
    nothing_failed
    [ ! -s /run/era-opened ] || ! grep -q warning /run/era-opened || fail "opening warned: $(cat /run/era-opened)"
    [ "$(readlink -f /dev/disk/by-uuid/*)" = "$(readlink -f /dev/mapper/root)" ] || fail "$(ls -l /dev/disk/by-uuid)"
    [ "$(readlink -f /dev/disk/by-partuuid/*1)" = /dev/ubda1 ] || fail "$(ls -l /dev/disk/by-partuuid)"
    generation >$host/generation
    echo before >/var/marker
    start_writer
    era backup root $host/repository
    kill $writer
}

# It was left in order: tracking goes on, and the increment comes over ssh. Then the power is cut under load.
boot_3() {
    root_is /dev/mapper/root
    nothing_failed
    ! grep -q warning /run/era-opened || fail "opening warned: $(cat /run/era-opened)"
    [ "$(generation)" = "$(cat $host/generation)" ] || fail "another generation"
    era backup root@localhost:root $host/repository
    start_writer
    echo survives >/var/survivor
    sync
    local round
    round=$(</run/round)
    until [ "$(</run/round)" != "$round" ]; do sleep 0.1; done
    : >$host/power-cut
    exec sleep infinity
}

# All that was written is tracked: the increments make what the device is.
boot_4() {
    root_is /dev/mapper/root
    nothing_failed
    said "was not closed in order"
    [ "$(generation)" = "$(cat $host/generation)" ] || fail "another generation"
    [ "$(cat /var/survivor)" = survives ]
    start_writer
    era backup root@localhost:root $host/repository
    kill $writer
    era verify $host/repository root
}

# Without tracking, for once.
boot_5() {
    root_is /dev/ubda1
    dmesg | grep "era: root: NOT TRACKED"
    ! dmsetup ls | grep -q root || fail "$(dmsetup ls)"
    [ "$(readlink -f /dev/disk/by-uuid/*)" = /dev/ubda1 ] || fail "$(ls -l /dev/disk/by-uuid)"
    refuses_to_go "would not without era: root"
    echo bypassed >/var/bypassed
}

# What was written meanwhile is noticed, and the next backup has it.
boot_6() {
    root_is /dev/mapper/root
    nothing_failed
    said "something wrote to the data device while it was closed"
    [ "$(generation)" != "$(cat $host/generation)" ] || fail "the same generation"
    era backup root $host/repository
}

# The image of the backup, written over the disk from outside, is the system again.
boot_7() {
    root_is /dev/mapper/root
    nothing_failed
    said "new generation"
    [ "$(cat /var/marker /var/survivor /var/bypassed)" = "$(printf 'before\nsurvives\nbypassed')" ]
    era remove root
    cmp /etc/fstab $host/fstab
    cmp /boot/loader/entries/debian.conf $host/entry
    ! grep -q '^root' /etc/eratab
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
    [ "$(readlink -f /dev/disk/by-uuid/*)" = /dev/ubda1 ] || fail "$(ls -l /dev/disk/by-uuid)"
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
