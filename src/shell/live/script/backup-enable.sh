# shellcheck shell=dash disable=SC2034,SC2154
# Turns the timer of the snapshots on, as its file has it now.
systemctl daemon-reload
systemctl enable --quiet -- "$1"
systemctl restart -- "$1"
