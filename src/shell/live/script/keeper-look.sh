# shellcheck shell=dash
# Says what lies here of the authority: the digest of its key and who may read it, and the certificate. It only reads, and
# the key itself stays where it is.
set -u
LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
echo quorate-begin
if [ -f "$2" ]; then
    sum=$(sha256sum <"$2")
    echo "key ${sum%% *} $(stat -L -c '%a %U %G' "$2")"
fi
if [ -f "$1" ]; then
    echo certificate
    head -c 65536 "$1"
fi
