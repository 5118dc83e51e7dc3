# shellcheck shell=dash disable=SC2034,SC2154
# Writes the files of a consumer and tells it. They come on stdin: certificate, key, authorities; one of no bytes stays as
# it is. What says that it was not told yet is there before the first file changes, and goes when it was told.
certificate=$1 key=$2 authority=$3 owner=$4 group=$5 due=$6
certificate_bytes=$7 key_bytes=$8 authority_bytes=$9
shift 9
reload=$1

check() {
    [ -d "${1%/*}" ] || refuse "there is no folder ${1%/*}: make it, or correct the path in cluster.toml"
    [ ! -d "$1" ] || refuse "$1 is a folder"
}
beside() { echo "${1%/*}/.${1##*/}.quorate"; }
# What was written before is kept, and not what is written now.
keep_before() { cmp -s "$1" "$(beside "$1")" || keep "$1"; }
# Back to back, by one process where they lie in one folder: a client that reads both in between meets an odd pair.
put_pair() {
    keep_before "$key"
    keep_before "$certificate"
    folder=${certificate%/*}
    if [ "$folder" = "${key%/*}" ]; then
        leftover=$folder/.pair.quorate
        rm -rf -- "$leftover"
        mkdir -m 700 "$leftover"
        mv -T -- "$(beside "$key")" "$leftover/${key##*/}"
        mv -T -- "$(beside "$certificate")" "$leftover/${certificate##*/}"
        mv -f -t "$folder" -- "$leftover/${key##*/}" "$leftover/${certificate##*/}"
    else
        new_key=$(beside "$key") new_certificate=$(beside "$certificate")
        mv -T -f -- "$new_key" "$key"
        mv -T -f -- "$new_certificate" "$certificate"
    fi
    sync "$folder" "${key%/*}"
}
getent passwd "$owner" >/dev/null || refuse "there is no account $owner: correct \`owner\` in cluster.toml"
getent group "$group" >/dev/null || refuse "there is no group $group: correct \`group\` in cluster.toml"
check "$certificate"
check "$key"
[ -z "$authority" ] || check "$authority"
if [ -n "$reload" ]; then
    : >"$due"
    sync "$due"
fi
if [ "$certificate_bytes" != 0 ]; then
    stage "$(beside "$certificate")" "$certificate_bytes" 644 "$owner" "$group"
    stage "$(beside "$key")" "$key_bytes" 600 "$owner" "$group"
fi
if [ "$authority_bytes" != 0 ]; then
    stage "$(beside "$authority")" "$authority_bytes" 644 "$owner" "$group"
    keep_before "$authority"
    mv -T -f -- "$(beside "$authority")" "$authority"
    sync "${authority%/*}"
fi
if [ "$certificate_bytes" != 0 ]; then
    put_pair
fi
if [ -n "$reload" ]; then
    # What it starts does not hold our lock for as long as it lives.
    sh -c "$reload" 8>&- >&2 </dev/null || refuse "\`$reload\` ended with status $?"
fi
rm -f -- "$due"
