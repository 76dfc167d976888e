#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The machine's process 1: sets it up, runs one boot of the scenario, and tells the host how it ended.
#
# The root is the host's, read-only. Only /run is new, and never /tmp or /home: the sources may be there.
set -eu

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/host /run/bin /run/disks /run/mnt /run/tmp /run/work
mount -t hostfs -o "$ERA_TEST_HOST_DIR" none /run/host

# The modules are not where modprobe looks. The kernel, too, calls this one, for every target of device-mapper.
mkdir -p /run/modules/lib/modules
ln -s "$ERA_TEST_MODULES" /run/modules/lib/modules/
modprobe=$(command -v modprobe)
printf '#!/bin/sh\nexec %s -d /run/modules "$@"\n' "$modprobe" >/run/bin/modprobe
chmod +x /run/bin/modprobe
echo /run/bin/modprobe >/proc/sys/kernel/modprobe

for name in era era_copy era_apply; do
    ln -s "$ERA_TEST_PROGRAM" "/run/bin/$name"
done
export PATH="/run/bin:$PATH" TMPDIR=/run/tmp HOME=/run/tmp
# No udev runs here: dmsetup has to make the device nodes.
export DM_DISABLE_UDEV=1
/run/bin/modprobe -a dm-mod loop

# The scenario prints to a pipe, as on a terminal programs would draw progress bars. What it leaves running may still
# hold the pipe at the end, so there is no waiting for the end of that; but everything printed must have gone through.
stty -F /dev/ttyS0 -opost
mkfifo /run/output /run/nothing
cat /run/output >/dev/ttyS0 &
status=0
(cd /run/work && exec bash "$ERA_TEST_DIR/run.sh") </dev/null >/run/output 2>&1 || status=$?
exec 9<>/run/output
while read -r -t 0 -u 9; do sleep 0.01; done

# What a next boot shall find must be on the host before the machine is killed, which a status means.
sync
echo "$status" >/run/host/status.new
mv /run/host/status.new /run/host/status
exec sleep infinity
