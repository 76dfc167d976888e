# SPDX-License-Identifier: GPL-3.0-or-later
# A restic repository.

# Of the one that is made here.
export RESTIC_PASSWORD='a horse and a staple' XDG_CACHE_HOME=/run/cache

# make_restic_repository DIR: as `era backup --init` makes one, but for its key: a real one wants 128 MiB from each program that opens
# the repository, page by page, which takes this machine seconds.
make_restic_repository() {
    local made=$ERA_TEST_DIR/../restic/made file
    mkdir -p "$1"/{index,keys,locks,snapshots} "$1"/data/{{0..9},{a..f}}{{0..9},{a..f}}
    for file in "$made"/*; do
        case ${file##*/} in
        config) cp "$file" "$1" ;;
        *) cp "$file" "$1/keys" ;;
        esac
    done
}

# snapshots: how many there are in $RESTIC_REPOSITORY.
snapshots() {
    restic --no-cache snapshots --json | grep -o '"short_id"' | wc -l
}

# assert_restic_has DEVICE: the newest snapshot, which is left in the file dumped, is the device.
assert_restic_has() {
    restic --no-cache dump latest /vol.img | tar xO >dumped
    assert_same "$1" dumped
}
