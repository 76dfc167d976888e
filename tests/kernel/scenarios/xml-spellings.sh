# SPDX-License-Identifier: GPL-3.0-or-later
# era_copy takes the installed era_invalidate's list and ours, and copies the same blocks by both. An empty or
# unfinished document is an error, never "nothing has changed".
# needs: era_invalidate

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol
write_blocks $vol $block 7 1
write_blocks $vol $block 100 30
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 1 --format xml >ours.xml
era_invalidate --metadata-snapshot --written-since 1 "$meta" >theirs.xml
drop_snapshot vol
assert_equal "7 8,100 130" "$(runs_of_xml <ours.xml | paste -sd ,)" "our list"

# Both spellings, whichever of them is installed.
sed 's/="/ = "/g' ours.xml >spaces.xml
sed 's/ *= *"/="/g' ours.xml >no-spaces.xml
assert_differ spaces.xml no-spaces.xml
for list in ours theirs spaces no-spaces; do
    rm -f mirror
    era_copy $block $vol <$list.xml | era_apply --require-end mirror
    truncate -s 64M mirror
    assert_same $vol mirror
done

# A valid list without blocks is an answer.
echo '<blocks></blocks>' >none.xml
era_copy $block $vol <none.xml | era_apply --require-end mirror
assert_same $vol mirror

: >empty.xml
head -n 1 ours.xml >begun.xml
head -c -4 ours.xml >cut.xml
sed '/<\/blocks>/d' ours.xml >unfinished.xml
for list in empty begun cut unfinished; do
    assert_exit 2 sh -c "era_copy $block $vol <$list.xml"
done
