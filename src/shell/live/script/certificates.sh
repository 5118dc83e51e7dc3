# shellcheck shell=dash
# The certificates that a process names, as it sees them. $1: the process; then a name and a path in turn. Never a key: a
# file that holds one beside its certificate is cut.
set -u
pid=$1
shift
while [ $# -ge 2 ]; do
    case $2 in
    /*) at=/proc/$pid/root$2 ;;
    *) at=/proc/$pid/cwd/$2 ;;
    esac
    echo "name=$1"
    if [ -r "$at" ] && [ -f "$at" ]; then
        head -c 1048576 "$at" | sed -n -e '/^-----BEGIN .*PRIVATE[ ]KEY-----/,/^-----END .*PRIVATE[ ]KEY-----/d' \
            -e '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p'
    fi
    shift 2
done
echo quorate-end
