# SPDX-License-Identifier: GPL-3.0-or-later
# Runs one boot of the scenario. Status 0 only if it reaches its end: `exit 0` halfway is a failure.
set -Eeuo pipefail
shopt -s inherit_errexit

trap 'echo "failed: $BASH_COMMAND (${BASH_SOURCE[0]##*/}:$LINENO)"' ERR
reached_end=no
trap '[ $reached_end = yes ] || exit 1' EXIT

. "$ERA_TEST_DIR/lib.sh"
. "$ERA_TEST_SCENARIO"
if declare -F boot_1 >/dev/null; then
    "boot_$ERA_TEST_BOOT"
fi
reached_end=yes
