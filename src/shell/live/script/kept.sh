# shellcheck shell=dash
# Of the files that quorate keeps on this host, what tells what was declared. $1: a key, of which only is told whether it is
# there; then the paths of texts, none of which holds a secret.
#
#     file=/etc/systemd/system/etcd.service
#     line=[Unit]
#     …
set -u
key=$1
shift
[ -z "$key" ] || [ ! -f "$key" ] || printf 'file=%s\n' "$key"
for file in "$@"; do
    if [ -n "$file" ] && [ -f "$file" ] && [ -r "$file" ]; then
        printf 'file=%s\n' "$file"
        head -c 262144 "$file" | sed 's/^/line=/'
    fi
done
