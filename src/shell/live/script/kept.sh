# shellcheck shell=dash
# Of the files that quorate keeps on this host, what tells what was declared. $1: paths of keys, of which only is told which are
# there and not encrypted; then the paths of texts, none of which holds a secret.
#
#     file=/etc/systemd/system/etcd.service
#     line=[Unit]
#     …
set -u
keys=$1
shift
for key in $keys; do
    if [ -f "$key" ] && grep -q 'PRIVATE KEY' "$key" && ! grep -q ENCRYPTED "$key"; then
        printf 'file=%s\n' "$key"
    fi
done
for file in "$@"; do
    if [ -n "$file" ] && [ -f "$file" ] && [ -r "$file" ]; then
        printf 'file=%s\n' "$file"
        head -c 262144 "$file" | sed 's/^/line=/'
    fi
done
