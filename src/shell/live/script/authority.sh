# shellcheck shell=dash disable=SC2034,SC2154
# Puts the authority's pair in place, the key first: a certificate that hosts trust is never there without it. Both come
# on stdin, the certificate first; a certificate that is there already stays when $2 says so.
certificate=$1 which=$2 certificate_bytes=$3 certificate_mode=$4
key=$5 key_bytes=$6 key_mode=$7
folder=${key%/*}
staged=$folder/.ca.quorate
for path in "$certificate" "$key"; do
    [ ! -d "$path" ] || refuse "$path is a folder"
done
mkdir -p -- "$folder"
rm -rf -- "$staged"
leftover=$staged
mkdir "$staged"
stage "$staged/crt" "$certificate_bytes" "$certificate_mode" root root
stage "$staged/key" "$key_bytes" "$key_mode" root root
keep "$key"
mv -T -f -- "$staged/key" "$key"
sync "$folder"
if [ "$which" = always ] || [ ! -e "$certificate" ]; then
    keep "$certificate"
    mv -T -f -- "$staged/crt" "$certificate"
    sync "$folder"
fi
