# SPDX-License-Identifier: GPL-3.0-or-later
# What every scenario has at hand; each file of lib/ is about one thing.

for part in "$ERA_TEST_DIR"/lib/*.sh; do
    . "$part"
done
