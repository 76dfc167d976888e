# SPDX-License-Identifier: GPL-3.0-or-later
# A root filesystem on the tracked device, with everything that takes part on it: era, its libraries, the writer.

# The root; /run and /run/work are the machine's also there.
root=/run/mnt

# "${in_root[@]}" COMMAND...: with that root.
in_root=(chroot $root /bin/bash -c 'PATH=/bin && cd /run/work && exec "$@"' in_root)

# make_root DEVICE: mounts it.
make_root() {
    local program file
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$1"
    mount "$1" $root
    mkdir $root/{bin,dev,proc,run,sys,work}
    for program in bash perl cp rm; do
        install_program "$(type -P $program)" $program
    done
    # Most of a program under test is for debuggers.
    strip -o era "$(readlink -f "$(type -P era)")"
    install_program era era
    rm era
    mount -t proc proc $root/proc
    mount -t sysfs sys $root/sys
    mount --bind /dev $root/dev
    mount --bind /run $root/run
}

# install_program FILE NAME: with the libraries that it needs, where it looks for them.
install_program() {
    local file
    cp "$1" "$root/bin/$2"
    for file in $(ldd "$1" | grep -o '/[^ ]*'); do
        [ -e "$root$file" ] || cp -L --parents "$file" $root
    done
}

# start_writer_in_root
start_writer_in_root() {
    echo 0 >writer-rounds
    "${in_root[@]}" perl -e "$(<"$ERA_TEST_DIR/lib/writer.pl")" /work &
    writer=$!
}

# forget_root: what was read of it and is not in use must be read again.
forget_root() {
    echo 3 >/proc/sys/vm/drop_caches
}
