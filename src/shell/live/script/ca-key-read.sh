# shellcheck shell=dash
# Gives the authority's key, to be kept in memory alone.
set -u
head -c 65536 "$1"
