# shellcheck shell=dash disable=SC2034,SC2154
# Stops etcd for good and brings its data to another directory. $1: where it is; $2: where it is to be, which is there;
# $3: the mark in that directory, by which a copy that was cut off is known to be none yet; $4: the file beside the member
# that says from which snapshot it was restored; $5: the account.
from=$1 data=$2 mark=$2/$3 beside=$4 account=$5
[ -d "$data" ] || refuse "there is no $data"
if [ -e "$data/member" ] && [ "$(cat "$mark" 2>/dev/null)" != "$from" ]; then
    refuse "$data holds a member already"
fi
[ -d "$from/member" ] || refuse "there is no member in $from"
# Only where a link can be made to the other directory can a folder be renamed to it.
trial=.trial.quorate
leftover=$from/$trial
: >"$from/$trial"
is_near=
if ln -f -- "$from/$trial" "$data/$trial" 2>/dev/null; then
    is_near=yes
    rm -f -- "$data/$trial"
fi
rm -f -- "$from/$trial"
leftover=
if [ -z "$is_near" ]; then
    kilobytes=$(du -sk -- "$from/member" | cut -f 1)
    free=$(free_in "$data")
    # While it is counted etcd goes on writing: it may cut a segment of its log, which has 64 MB.
    [ "$free" -gt "$((kilobytes + 131072))" ] ||
        refuse "the data in $from has $((kilobytes / 1024)) MiB, and $data has $((free / 1024)) MiB free"
fi
stop_for_good
# It may be the root of a disk of its own.
chown "$account:$account" "$data/."
chmod 700 "$data/."
[ ! -e "$from/$beside" ] || cp -a -- "$from/$beside" "$data/$beside"
if [ -n "$is_near" ]; then
    mv -T -- "$from/member" "$data/member"
    sync "$data/." "$from/."
    rm -f -- "$from/$beside"
    # What was kept there of other lives stays.
    rmdir -- "$from" 2>/dev/null || :
    exit 0
fi
staged=$data/.member.quorate
rm -rf -- "$staged" "$data/member"
leftover=$staged
cp -a -- "$from/member" "$staged"
sync -f "$staged"
diff -r -- "$from/member" "$staged" >/dev/null || refuse "the copy in $data differs from $from"
printf '%s\n' "$from" >"$mark"
sync "$mark"
mv -T -- "$staged" "$data/member"
leftover=
sync "$data/."
set_aside "$from" moved
rm -f -- "$mark"
sync "$data/."
