# SPDX-License-Identifier: GPL-3.0-or-later
# A storage that does not answer is an error after a time, and at once when the backup is asked to end: hooks and metrics follow, and
# nobody who reaches for the storage is left.
# program: with restic

# What reaches it says nothing, for ever.
mkdir bin
printf '#!/bin/sh\nexec sleep 12345\n' >bin/rclone
chmod +x bin/rclone
PATH=$PWD/bin:$PATH

create_stack vol 16M 16M
cat >job.toml <<END
source = "vol"
repository = "restic:rclone:far:/away"
metrics = "$PWD/era.prom"
[hooks]
before_cut = "echo before >>$PWD/hooks"
after_cut = "echo after \$ERA_RESULT >>$PWD/hooks"
END

reachers() {
    local file
    for file in /proc/[0-9]*/cmdline; do
        ! has_line "12345" "$file" 2>/dev/null || echo "$file"
    done
}

# assert_put_in_order: the hooks ran, the metrics say that it failed, and nobody is left.
assert_put_in_order() {
    assert_equal $'before\nafter failure' "$(<hooks)" "hooks"
    has_line "era_backup_last_run_success{.*} 0" era.prom || fail "$(<era.prom)"
    wait_until no_reachers
    assert_nothing_left vol
    rm hooks era.prom
}
no_reachers() { [ -z "$(reachers)" ]; }

ERA_STORAGE_TIMEOUT=2 assert_exit 2 era backup --config ./job.toml
assert_message "a request was not answered for 2 s"
assert_put_in_order

era backup --config ./job.toml 2>said &
backup=$!
wait_until has_line before hooks
wait_until eval '[ -n "$(reachers)" ]'
kill -TERM $backup
status=0
wait $backup || status=$?
[ $status != 0 ] || fail "success"
has_line "interrupted" said || fail "$(<said)"
assert_put_in_order
