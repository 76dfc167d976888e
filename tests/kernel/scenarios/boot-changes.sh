# SPDX-License-Identifier: GPL-3.0-or-later
# `era create --at-boot` for the root filesystem: it shows what else must change and changes nothing; with --apply it does,
# and `era remove` puts it back bit for bit, also when a step failed or either of them was killed. The distribution's programs
# are stand-ins that note their calls.
# needs: strip
# time limit: 400

data=$(new_disk data 128M)
meta=$(new_disk meta 16M)
make_root "$data"
uuid=$(blkid -po value -s UUID "$data")
mkdir -p /dev/disk/by-uuid $root/{etc/default,etc/kernel,boot/loader/entries,usr/share/initramfs-tools/hooks,var}
ln -s "$data" "/dev/disk/by-uuid/$uuid"
# No newline at the end, and a mode of its own.
printf '# fstab\nUUID=%s\t/  ext4 errors=remount-ro 0 1\n/dev/other /other ext4 defaults 0 2' "$uuid" >$root/etc/fstab
chmod 640 $root/etc/fstab
printf 'GRUB_CMDLINE_LINUX="quiet"\n' >$root/etc/default/grub
printf 'ro root=UUID=%s quiet' "$uuid" >$root/etc/kernel/cmdline
printf 'title a\noptions root=UUID=%s ro\n' "$uuid" >$root/boot/loader/entries/a.conf
printf 'title b\noptions root=UUID=other ro\n' >$root/boot/loader/entries/b.conf
# Its initial ramdisk is never made anew.
printf 'title rescue\noptions root=UUID=%s ro\n' "$uuid" >$root/boot/loader/entries/m-0-rescue.conf
echo old >$root/boot/initrd.img-1

# stand_in NAME COMMANDS: a program of the distribution.
stand_in() {
    printf '#!/bin/bash\necho "%s${*:+ $*}" >>/calls\n%s\n[ ! -e /killer ] || kill -KILL $PPID\n' "$1" "$2" >$root/bin/$1
    chmod +x $root/bin/$1
}
# What both make is no file that must be as before; it holds what they were made of.
makes_ramdisk='[ ! -e /broken ] || { [ ! -e /broken-once ] || rm /broken /broken-once; exit 1; }
rm -f /boot/initrd.img-1 && cp /etc/eratab /boot/initrd.img-1'
makes_config='cp /etc/default/grub /boot/grub.cfg'

# files: what must be as it was, contents and modes, as one file.
files() {
    (cd $root && find etc boot var -type f ! -name initrd.img-1 ! -name grub.cfg | sort | tar -cf - --mtime=@0 -T -)
}
files_as_before() {
    # A table that was made keeps its heading.
    [ ! -e $root/etc/eratab ] || ! grep -v '^#' $root/etc/eratab || fail "$1: lines in eratab"
    rm -f $root/etc/eratab
    files >files-now
    cmp files-before files-now || fail "$1: other files than before: $(tar -tvf files-now)"
    cmp -n 4096 "$meta" /dev/zero || fail "$1: a header is left"
}
calls() {
    assert_equal "$1" "$(paste -sd, $root/calls 2>/dev/null || true)" "what was called"
    rm -f $root/calls
}
create=("${in_root[@]}" era create root --data "$data" --meta "$meta" --at-boot)
remove=("${in_root[@]}" era remove root)
files >files-before

# Nothing that makes initial ramdisks, and none of our parts in it.
assert_exit 2 "${create[@]}"
assert_message "neither update-initramfs nor dracut is there"
stand_in update-initramfs "$makes_ramdisk"
stand_in update-grub "$makes_config"
assert_exit 2 "${create[@]}" --apply
assert_message "/usr/share/initramfs-tools/hooks/era: our part of update-initramfs is not there"
: >$root/usr/share/initramfs-tools/hooks/era
files_as_before "refused"

# It shows everything and changes nothing: only what `era create` always makes is there, and goes again.
assert_exit 0 "${create[@]}"
cat >expected <<END
root: prepared; before the next boot, or in one go with --apply:
in /etc/fstab:
  - UUID=$uuid	/  ext4 errors=remount-ro 0 1
  + /dev/mapper/root	/  ext4 errors=remount-ro 0 1
in /etc/kernel/cmdline:
  - ro root=UUID=$uuid quiet
  + ro root=/dev/mapper/root quiet
in /boot/loader/entries/a.conf:
  - options root=UUID=$uuid ro
  + options root=/dev/mapper/root ro
in /etc/default/grub:
  + GRUB_CMDLINE_LINUX="\$GRUB_CMDLINE_LINUX root=/dev/mapper/root" # by era create
run: update-grub
run: update-initramfs -u -k all
root: from the next boot on use /dev/mapper/root in place of $data
END
assert_same expected stdout
assert_equal "" "$(cat stderr)" "messages"
calls ""
grep "^root	$data	$meta	x-initrd.attach" $root/etc/eratab
mv $root/etc/eratab .
files >files-now
assert_same files-before files-now
mv eratab $root/etc/
assert_exit 0 "${remove[@]}"
files_as_before "removed again"

# It makes the changes, once, and takes them back.
assert_exit 0 "${create[@]}" --apply
calls "update-grub,update-initramfs -u -k all"
tail -n +2 expected >expected-of-apply
assert_same expected-of-apply stdout
grep "root=/dev/mapper/root" $root/etc/kernel/cmdline $root/boot/loader/entries/a.conf $root/boot/grub.cfg
grep "^/dev/mapper/root	/  ext4" $root/etc/fstab
assert_equal "640 640" "$(stat -c %a $root/etc/fstab $root/etc/fstab.before-era-root | paste -sd' ')" "modes"
grep x-initrd.attach $root/boot/initrd.img-1
assert_exit 2 "${create[@]}" --apply
assert_message 'files were changed for it before; `era remove root` undoes that'
assert_exit 0 "${remove[@]}"
calls "update-grub,update-initramfs -u -k all"
! grep x-initrd.attach $root/boot/initrd.img-1 || fail "the ramdisk still opens it"
! grep mapper $root/boot/grub.cfg || fail "GRUB still asks for it"
files_as_before "undone"

# A step fails, and its undoing succeeds.
: >$root/broken
: >$root/broken-once
assert_exit 2 "${create[@]}" --apply
assert_message "nothing is changed in the end, as a step failed: update-initramfs -u -k all: exit status: 1"
files_as_before "a step failed"
# It fails both times. What is left says how to go on, and can be gone on with.
: >$root/broken
assert_exit 2 "${create[@]}" --apply
assert_message 'not all could be put back: update-initramfs.*Correct that, and then `era remove root` puts back the rest'
grep "^UUID=$uuid" $root/etc/fstab
assert_exit 2 "${remove[@]}"
assert_message "update-initramfs -u -k all: exit status: 1"
grep "^root" $root/etc/eratab
rm $root/broken
assert_exit 0 "${remove[@]}"
files_as_before "removed after failures"
# Ramdisks of no kernel at all are none.
stand_in update-initramfs ""
assert_exit 2 "${create[@]}" --apply
assert_message "no initial ramdisk below /boot or /efi was made anew"
stand_in update-initramfs "$makes_ramdisk"
files_as_before "no ramdisk was made"

# Killed at each step.
for step in boot-recorded boot-backup boot-backup@3 boot-changed@2; do
    assert_exit 137 env ERA_FAILPOINT=$step=kill "${create[@]}" --apply
    assert_exit 0 "${remove[@]}"
    files_as_before "killed at $step"
done
: >$root/killer
assert_exit 137 "${create[@]}" --apply
rm $root/killer
for step in boot-restored boot-restored@4; do
    assert_exit 137 env ERA_FAILPOINT=$step=kill "${remove[@]}"
    ! grep "^root" $root/etc/eratab || fail "it is still in eratab"
done
: >$root/killer
assert_exit 137 "${remove[@]}"
rm $root/killer
assert_exit 0 "${remove[@]}"
files_as_before "killed while it was undone"
# Before there was a line.
assert_exit 137 env ERA_FAILPOINT=life-written=kill "${create[@]}" --apply
assert_exit 2 "${create[@]}" --apply
assert_message "has the header of another tracked device"
assert_exit 0 "${in_root[@]}" era remove --meta "$meta"
files_as_before "killed before there was a line"

# What others have changed meanwhile stays, and is told of.
"${create[@]}" --apply
cp $root/etc/fstab fstab-changed
printf '\n# mine\n' >>fstab-changed
cp fstab-changed $root/etc/fstab
sed -i 's/quiet/verbose/' $root/etc/kernel/cmdline
assert_exit 0 "${remove[@]}"
assert_message "/etc/fstab.before-era-root: is /etc/fstab as it was"
assert_message "/etc/kernel/cmdline: was changed since; see to it yourself, this line is not there any more: ro root="
grep "^UUID=$uuid" $root/etc/fstab
grep "^# mine" $root/etc/fstab
mv $root/etc/fstab.before-era-root $root/etc/fstab
mv $root/etc/kernel/cmdline.before-era-root $root/etc/kernel/cmdline
files_as_before "changed by others"

# Copies that somebody has tidied up are not needed. An entry that came meanwhile leads back, too, and one that went is not
# missed; but a filesystem that is not mounted is.
"${create[@]}" --apply
rm -f $root/etc/fstab.before-era-root $root/etc/default/grub.before-era-root
mv $root/boot/loader/entries $root/boot/loader/away
assert_exit 2 "${remove[@]}"
assert_message "/boot/loader/entries/a.conf: is not there, and was changed for it; mount the filesystem that it is on"
grep "^root" $root/etc/eratab
mv $root/boot/loader/away $root/boot/loader/entries
printf 'title c\noptions ro root=/dev/mapper/root quiet\n' >$root/boot/loader/entries/c.conf
assert_exit 0 "${remove[@]}"
assert_message "/boot/loader/entries/c.conf: root=UUID=$uuid again"
grep "^options ro root=UUID=$uuid quiet" $root/boot/loader/entries/c.conf
rm $root/boot/loader/entries/c.conf
files_as_before "tidied up"
"${create[@]}" --apply
mv $root/boot/loader/entries/a.conf .
assert_exit 0 "${remove[@]}"
assert_message "/boot/loader/entries/a.conf: is gone, and is left so"
mv a.conf $root/boot/loader/entries/
sed -i "s|root=/dev/mapper/root|root=UUID=$uuid|" $root/boot/loader/entries/a.conf
files_as_before "a kernel has gone"

# A metadata device that has died. What is on it is not taken away.
"${create[@]}" --apply
mv "$meta" gone
assert_exit 0 "${remove[@]}"
assert_message "what is on it stays; .era remove --meta DEVICE. takes it away when it is back"
mv gone "$meta"
assert_exit 0 "${in_root[@]}" era remove --meta "$meta"
files_as_before "without metadata"

# As Fedora has it; and no boot loader that is known.
rm $root/bin/update-{grub,initramfs} $root/calls
stand_in grub2-mkconfig "$makes_config"
stand_in dracut "$makes_ramdisk"
mkdir -p $root/usr/lib/dracut/modules.d/90era
: >$root/usr/lib/dracut/modules.d/90era/module-setup.sh
"${create[@]}" --apply
calls "grub2-mkconfig -o /boot/grub2/grub.cfg,dracut --regenerate-all --force"
"${remove[@]}"
calls "grub2-mkconfig -o /boot/grub2/grub.cfg,dracut --regenerate-all --force"
files_as_before "dracut"
rm $root/bin/grub2-mkconfig $root/boot/loader/entries/a.conf $root/etc/kernel/cmdline
files >files-before
assert_exit 0 "${create[@]}"
assert_message "no boot loader's configuration with root= of $data was found; give the kernel root=/dev/mapper/root yourself"
assert_exit 0 "${remove[@]}"
files_as_before "no boot loader"
assert_exit 2 "${create[@]}" --apply
assert_message "with another one, root=UUID= of the raw device perhaps, the machine does not start, or / is not tracked\. Without"
files_as_before "no boot loader, refused"
