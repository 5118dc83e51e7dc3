# shellcheck shell=dash disable=SC2034,SC2154
# The folders that hold an etcd: the declared one, and every other version beside it.
find_versions() {
    checked=0
    for folder in "$q_folder" "$q_binaries"/*; do
        if [ "$folder" != "$q_folder" ]; then
            case ${folder##*/} in
            *[!0-9.]*) continue ;;
            esac
        elif [ "$checked" != 0 ]; then
            continue
        fi
        checked=$((checked + 1))
        [ "$checked" -le 50 ] || break
        if [ ! -f "$folder/etcd" ] || [ ! -x "$folder/etcd" ]; then
            continue
        fi
        # Others may have etcdctl elsewhere, or nowhere: Debian has a package for it.
        if [ -z "$q_account" ] || { [ -f "$folder/etcdctl" ] && [ -x "$folder/etcdctl" ]; }; then
            folders="$folders $folder"
        fi
    done
}

# What is installed is checked by size against the record made when it was unpacked. Reading it whole costs a second of
# CPU, so that is done only for what was written after the record.
look_installed() {
    find_versions
    for folder in $folders; do
        if [ -n "$q_preinstalled" ] && [ "$folder" = "$q_folder" ]; then
            version=$("$folder/etcd" --version </dev/null)
            echo "preinstalled=${version%%"$newline"*}"
            continue
        fi
        echo "folder=$folder"
        record=$folder/quorate.sha256
        [ -f "$record" ] || continue
        records="$records $record"
        for binary in "$folder/etcd" "$folder/etcdctl" "$folder/etcdutl"; do
            [ -f "$binary" ] || continue
            binaries="$binaries $binary"
            if [ "$binary" -nt "$record" ]; then
                summed="$summed $binary"
            fi
        done
    done
}
