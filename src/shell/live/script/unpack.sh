# shellcheck shell=dash disable=SC2034,SC2154
# What the scripts share that read a snapshot.

# unpack FILE: the database, and what the program says that unpacks it on stderr.
unpack() {
    case $1 in
    *.zst) zstd -d -c -q -- "$1" ;;
    *.gz) gzip -d -c -q -- "$1" ;;
    *) cat -- "$1" ;;
    esac
}
