# shellcheck shell=dash disable=SC2034,SC2154
# Replaces a certificate and its key together. Both come on stdin, the certificate first.
#
# They are staged in a folder beside their place, so that one process renames both, back to back: etcd reads them anew
# for every handshake, and one that meets an odd pair fails. One of somebody else (theirs) stays where links lead to it, with owner,
# mode and access list; then come the paths of other pairs there, certificate and key in turn. Without a mode none is made.
folder=$1 certificate=$2 key=$3
certificate_bytes=$4 certificate_mode=$5 certificate_owner=$6 certificate_group=$7
key_bytes=$8 key_mode=$9
shift 9
key_owner=$1 key_group=$2 whose=$3
shift 3
# Half of a pair is what a run has left that was killed.
if [ -n "$certificate_mode" ] && { [ ! -e "$folder/$certificate" ] || [ ! -e "$folder/$key" ]; }; then
    whose=ours
fi
if [ "$whose" = theirs ]; then
    real=$(readlink -e -- "$folder/$certificate") || refuse "$folder/$certificate is not there any more"
    real_key=$(readlink -e -- "$folder/$key") || refuse "$folder/$key is not there any more"
    [ "${real_key%/*}" = "${real%/*}" ] ||
        refuse "$real and $real_key lie in different folders: nothing replaces both at once"
    while [ $# -ge 2 ]; do
        same=no same_key=no
        [ "$(readlink -e -- "$1")" != "$real" ] || same=yes
        [ "$(readlink -e -- "$2")" != "$real_key" ] || same_key=yes
        [ "$same" = "$same_key" ] ||
            refuse "$1 and $2 have one of these two files in common, and not the other: a new pair would break that one"
        shift 2
    done
    folder=${real%/*} certificate=${real##*/} key=${real_key##*/}
fi
staged=$folder/.${certificate%.crt}.quorate
for path in "$folder/$certificate" "$folder/$key"; do
    [ ! -d "$path" ] || refuse "$path is a folder"
done
rm -rf -- "$staged"
leftover=$staged
mkdir "$staged"
if [ "$whose" = ours ]; then
    stage "$staged/$certificate" "$certificate_bytes" "$certificate_mode" "$certificate_owner" "$certificate_group"
    stage "$staged/$key" "$key_bytes" "$key_mode" "$key_owner" "$key_group"
else
    (
        umask 077
        stage "$staged/$certificate" "$certificate_bytes" 600 0 0
        stage "$staged/$key" "$key_bytes" 600 0 0
    )
    for file in "$certificate" "$key"; do
        cp --attributes-only --preserve=all -- "$folder/$file" "$staged/$file"
        touch -- "$staged/$file"
    done
fi
# What was kept before goes only once both can be kept: a file that is immutable, or mounted, cannot. A run that was killed may
# have kept one already.
for file in "$certificate" "$key"; do
    [ ! -e "$folder/$file" ] || [ "$folder/$file" -ef "$folder/$file.previous" ] ||
        ln -- "$folder/$file" "$staged/$file.previous"
done
for file in "$certificate" "$key"; do
    [ ! -e "$staged/$file.previous" ] || mv -T -f -- "$staged/$file.previous" "$folder/$file.previous"
done
mv -f -t "$folder" -- "$staged/$certificate" "$staged/$key"
sync "$folder"
