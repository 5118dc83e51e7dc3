# shellcheck shell=dash
# Prints what the journal has of a unit, behind attended.sh. $1: the unit; then more words for journalctl. What journalctl has
# to say is shown at once, too.
set -u
unit=$1
shift
attended journalctl --no-pager --output=short-iso --unit="$unit" "$@" 4</dev/null 2>&1
