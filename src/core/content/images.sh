# shellcheck shell=dash
# The images that a kubelet finds on its node, one a line: by the client of whatever runs its containers.
list_images() {
    if command -v crictl >/dev/null; then
        timeout 10 crictl images 2>/dev/null | sed -n '2,$ s/^\([^ ]*\)  *\([^ ]*\) .*/\1:\2/p'
    elif command -v ctr >/dev/null; then
        timeout 10 ctr -n k8s.io images ls -q 2>/dev/null
    fi
}
