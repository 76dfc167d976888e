# SPDX-License-Identifier: GPL-3.0-or-later
# For the repository $repo of the device vol, with blocks of $block bytes.

# next_stream: what is to be received next, in the file "stream". It has the blocks 50 to 53, 60 new ones, and zeros where
# there were data.
next_stream() {
    write_blocks /dev/mapper/vol 128 50 4
    write_blocks /dev/mapper/vol 128 110 60
    dd if=/dev/zero of=/dev/mapper/vol bs=$block seek=5 count=3 oflag=direct status=none
    era send vol --since "$(era points --cursor $repo)" 2>said >stream
}

# receive_stream: it succeeds, and all that was kept is there.
receive_stream() {
    era receive $repo <stream 2>received || fail "$(<received)"
    era apply --require-end mirror <stream
    cp --sparse=always mirror "reference-$(last_point $repo)"
    assert_points $repo
}

# receive_fails PATTERN: what it says.
receive_fails() {
    assert_exit 2 sh -c "era receive $repo <stream"
    assert_message "$1"
}
