# shellcheck shell=dash disable=SC2034,SC2154
# How long the host's resolver takes for its own name, which sudo asks for, and for the names of nodes.
look_names() {
    for name in "$(uname -n)" $q_names; do
        begun=$(date +%s%N)
        address=$(timeout 6 getent ahosts "$name")
        ended=$(date +%s%N)
        echo "$(((ended - begun) / 1000000)) $name ${address%%[ "$newline"]*}"
    done
}
