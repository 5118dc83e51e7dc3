# shellcheck shell=dash
# Who commands are run as, and what sudo says of that. Runs as that user.
user=$(id -un)
echo "user=$user"
echo "shell=$(getent passwd "$user" | cut -d : -f 7)"
[ "$(id -u)" != 0 ] || exit 0
begun=$(date +%s%N)
# Listing what is allowed needs no password where any one rule needs none, and opens no session, which may be what takes long.
said=$(timeout 45 sudo -n -u root /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin true 2>&1)
status=$?
ended=$(date +%s%N)
listed=$(timeout 10 sudo -n -l 2>&1)
echo "sudo-status=$status"
echo "sudo-ms=$(((ended - begun) / 1000000))"
echo "$said" | sed 's/^/sudo: /'
echo "$listed" | sed 's/^/listed: /'
