#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# assemble.sh TAR PACKAGE MODULES DISK: a disk with a plain Debian that our package is installed in, a partition with data, and a
# free one beside each. All happens in the current directory, where two initial ramdisks are made as well, by dracut, with
# systemd in it and without.
set -euo pipefail
tar=$1 package=$2 modules=$3 disk=$4
version=${modules##*/}
uuid=11111111-2222-4333-8444-555555555555
data_uuid=22222222-3333-4444-8555-666666666666
part=aaaaaaaa-0000-4000-8000-00000000000

mkdir root
tar -C root -xf "$tar"
mkdir -p root/lib/modules root/boot/loader/entries root/etc/kernel root/root/.ssh
cp -a "$modules" root/lib/modules/
zcat /usr/share/doc/user-mode-linux/config.gz >"root/boot/config-$version"
# The kernel is no file inside; what is made for it asks for one.
: >"root/boot/vmlinuz-$version"

# An older package first, then the real one, as its upgrade. The initial ramdisk is made below, so triggers wait.
installed() {
    [ "$(chroot root dpkg-query -Wf '${db:Status-Status} ${Version}' era)" = "installed $1" ]
    [ "$(chroot root dpkg-query -Wf '${db:Status-Status}' initramfs-tools)" = triggers-pending ]
}
dpkg-deb -R "$package" older
sed -i 's/^Version: .*/Version: 0.0.1-1/' older/DEBIAN/control
dpkg-deb -Zgzip -z1 -b older root/older.deb >dpkg.log
cp "$package" root/newer.deb
chroot root dpkg --no-triggers -i older.deb >>dpkg.log
installed 0.0.1-1
printf '# The administrator'"'"'s own.\n' >root/etc/eratab
chroot root dpkg --no-triggers -i newer.deb >>dpkg.log
installed "$(dpkg-deb -f "$package" Version)"
[ "$(cat root/etc/eratab)" = "# The administrator's own." ]
rm -r older root/older.deb root/newer.deb

sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=lz4/' root/etc/initramfs-tools/initramfs.conf
echo FSTYPE=ext4 >root/etc/initramfs-tools/conf.d/era-test
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >root/etc/fstab
echo "root=UUID=$uuid ro quiet" >root/etc/kernel/cmdline
cat >root/boot/loader/entries/debian.conf <<END
title   Debian
linux   /boot/vmlinuz-$version
initrd  /boot/initrd.img-$version
options root=UUID=$uuid ro quiet
END
echo debian >root/etc/hostname
echo '127.0.0.1 localhost debian' >root/etc/hosts
ssh-keygen -q -t ed25519 -N '' -f root/root/.ssh/id_ed25519
cp root/root/.ssh/id_ed25519.pub root/root/.ssh/authorized_keys
echo 'StrictHostKeyChecking accept-new' >root/root/.ssh/config
chmod -R go= root/root/.ssh

cat >root/etc/systemd/system/era-test.service <<'END'
[Unit]
Description=Test of the whole system
After=multi-user.target ssh.service

[Service]
Type=exec
ExecStart=/bin/sh -c 'mkdir -p /run/host && mount -t hostfs -o "$ERA_TEST_HOST_DIR" none /run/host && exec bash /run/host/inside.sh'
PassEnvironment=ERA_TEST_HOST_DIR ERA_TEST_BOOT
END
mkdir -p root/etc/systemd/system/multi-user.target.wants
ln -s ../era-test.service root/etc/systemd/system/multi-user.target.wants/
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    getty.target systemd-pstore.service systemd-random-seed.service systemd-update-utmp.service dev-hugepages.mount \
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount; do
    ln -sf /dev/null root/etc/systemd/system/$unit
done
chroot root depmod "$version"
chroot root update-initramfs -c -k "$version" >/dev/null

# What dracut would make after `era create`: it writes this line. dracut wants /proc for what its shell does with /dev/fd.
dracut() {
    local name=$1 parts=$2
    unshare --mount --pid --fork --mount-proc="$PWD/root/proc" chroot root dracut --force --quiet --kver "$version" \
        --no-hostonly --no-hostonly-cmdline --no-early-microcode --no-compress --nostrip \
        --modules "era rootfs-block udev-rules base fs-lib $parts" "/boot/$name" 2>dracut-said ||
        { cat dracut-said >&2; return 1; }
    mv "root/boot/$name" .
}
mv root/etc/eratab eratab
echo "root PARTUUID=${part}1 PARTUUID=${part}2 x-initrd.attach" >root/etc/eratab
dracut initrd-dracut ""
dracut initrd-dracut-systemd "systemd systemd-initrd dracut-systemd"
mv eratab root/etc/eratab

truncate -s 950M "$disk"
sfdisk -q "$disk" <<END
label: gpt
start=2048, size=1433600, uuid=${part}1
size=393216, uuid=${part}2
start=1828864, size=65536, uuid=${part}3
size=32768, uuid=${part}4
END
mke2fs -q -t ext4 -U $uuid -E offset=1048576,lazy_itable_init=0 -d root "$disk" 700M
mkdir -p data/by-name
mke2fs -q -t ext4 -U $data_uuid -E offset=$((1828864 * 512)),lazy_itable_init=0 -d data "$disk" 32M
rm -rf root data
