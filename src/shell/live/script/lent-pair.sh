# shellcheck shell=dash
# Gives the first pair of those named that is whole, and what its owner trusts, to be kept in memory alone: ca.crt ($1),
# then certificates and keys in turn.
set -u
trust=$1
shift
[ -s "$trust" ] || exit 0
while [ $# -ge 2 ]; do
    if [ -s "$1" ] && [ -s "$2" ]; then
        head -c 65536 "$trust"
        echo
        echo quorate-certificate
        head -c 65536 "$1"
        echo
        echo quorate-key
        head -c 65536 "$2"
        exit 0
    fi
    shift 2
done
