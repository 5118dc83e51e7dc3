# shellcheck shell=dash disable=SC2034,SC2154
# Replaces a certificate and its key together. Both come on stdin, the certificate first.
#
# They are staged in a folder beside their place, so that one process renames both, back to back: etcd reads them anew
# for every handshake, and one that meets an odd pair fails. Without a mode they are somebody else's, and stay where links to
# them lead, with owner, mode and access list.
folder=$1 certificate=$2 key=$3
certificate_bytes=$4 certificate_mode=$5 certificate_owner=$6 certificate_group=$7
key_bytes=$8 key_mode=$9
shift 9
key_owner=$1 key_group=$2
if [ -z "$certificate_mode" ]; then
    real=$(readlink -e -- "$folder/$certificate") || refuse "$folder/$certificate is not there any more"
    real_key=$(readlink -e -- "$folder/$key") || refuse "$folder/$key is not there any more"
    [ "${real_key%/*}" = "${real%/*}" ] ||
        refuse "$real and $real_key lie in different folders: nothing replaces both at once"
    folder=${real%/*} certificate=${real##*/} key=${real_key##*/}
fi
staged=$folder/.${certificate%.crt}.quorate
for path in "$folder/$certificate" "$folder/$key"; do
    [ ! -d "$path" ] || refuse "$path is a folder"
done
rm -rf -- "$staged"
leftover=$staged
mkdir "$staged"
if [ -n "$certificate_mode" ]; then
    stage "$staged/$certificate" "$certificate_bytes" "$certificate_mode" "$certificate_owner" "$certificate_group"
    stage "$staged/$key" "$key_bytes" "$key_mode" "$key_owner" "$key_group"
else
    (umask 077 && stage "$staged/$certificate" "$certificate_bytes" 600 0 0 && stage "$staged/$key" "$key_bytes" 600 0 0)
    for file in "$certificate" "$key"; do
        cp --attributes-only --preserve=all -- "$folder/$file" "$staged/$file"
        touch -- "$staged/$file"
    done
fi
keep "$folder/$certificate"
keep "$folder/$key"
mv -f -t "$folder" -- "$staged/$certificate" "$staged/$key"
sync "$folder"
