# shellcheck shell=dash disable=SC2034,SC2154
# The public half of a P-256 key in PKCS#8 as quorate writes it: the last 66 of its 138 bytes, so the last 88 of its
# 184 letters. The private half stays in this shell. Any other form is openssl's to read.
public_point() {
    begin='' first='' second='' third='' end=''
    {
        read -r begin && read -r first && read -r second && read -r third && { read -r end || [ -n "$end" ]; }
    } <"$1" || return 1
    [ "$begin$end" = '-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----' ] || return 1
    [ "${#first}.${#second}.${#third}" = 64.64.56 ] || return 1
    case $first in
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg*) ;;
    *) return 1 ;;
    esac
    echo "$1 point ${second#????????????????????????????????}$third"
}

look_keys() {
    for key in $q_keys; do
        [ -f "$key" ] || continue
        public_point "$key" && continue
        pem=$(openssl pkey -in "$key" -passin pass: -pubout 2>/dev/null) || continue
        pem=${pem#*"$newline"}
        IFS=$newline
        # shellcheck disable=SC2086 # split at the ends of lines
        set -- ${pem%"$newline"*}
        IFS=
        echo "$key spki $*"
        IFS=" $tab$newline"
    done
}
