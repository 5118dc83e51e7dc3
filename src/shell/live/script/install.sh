# shellcheck shell=dash disable=SC2034,SC2154
# Unpacks a release archive, which comes on stdin, into a folder of its own that gets its name last.
root=$1 version=$2 digest=$3 strip=$4
shift 4
target=$root/$version
staged=$root/.$version.quorate
umask 022
mkdir -p -- "$root"
rm -rf -- "$staged"
leftover=$staged
mkdir "$staged"
cat >"$staged/archive"
sum=$(sha256sum <"$staged/archive")
[ "${sum%% *}" = "$digest" ] || refuse "the archive that arrived is not the one that was sent: its SHA-256 is ${sum%% *}"
tar --extract --gzip --file "$staged/archive" --directory "$staged" --no-same-owner --no-same-permissions \
    --strip-components "$strip" -- "$@"
rm -f -- "$staged/archive"
said=$("$staged/etcd" --version </dev/null | head -n 1)
[ "$said" = "etcd Version: $version" ] || refuse "the etcd in the archive says \"$said\", not \"etcd Version: $version\""
record="$digest archive"
for binary in etcd etcdctl etcdutl; do
    file=$staged/$binary
    [ -f "$file" ] || continue
    chown root:root "$file"
    chmod 755 "$file"
    # The same binary in a folder that is repaired stays the same file, so that a process that runs it still does.
    if cmp -s "$target/$binary" "$file"; then
        ln -f -- "$target/$binary" "$file"
    fi
    sum=$(sha256sum <"$file")
    record="$record
${sum%% *} $(stat -c %s "$file") $binary"
    sync "$file"
done
echo "$record" >"$staged/quorate.sha256"
sync "$staged/quorate.sha256" "$staged"
if [ -e "$target" ]; then
    rm -rf -- "$root/.$version.previous"
    mv -T -- "$target" "$root/.$version.previous"
fi
mv -T -- "$staged" "$target"
sync "$root"
