# shellcheck shell=dash disable=SC2154
# What lies here of the authority: the digest of its key and who may read it, and the certificate. The key itself stays
# where it is.
#
#     key SHA256 MODE OWNER GROUP
#     certificate BASE64
look_authority() {
    if [ -f "$q_authority_key" ]; then
        sum=$(sha256sum <"$q_authority_key")
        echo "key ${sum%% *} $(stat -L -c '%a %U %G' "$q_authority_key")"
    fi
    if [ -f "$q_authority_certificate" ]; then
        printf 'certificate '
        head -c 65536 "$q_authority_certificate" | base64 -w 0
        echo
    fi
}
