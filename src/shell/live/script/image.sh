# shellcheck shell=dash disable=SC2154
# Has whatever runs the containers of this node fetch an image. images.sh goes before.
image=$1
list_images | grep -qxF -- "$image" && exit 0
if command -v crictl >/dev/null; then
    said=$(crictl pull "$image" 2>&1) || status=$?
elif command -v ctr >/dev/null; then
    said=$(ctr -n k8s.io images pull "$image" 2>&1) || status=$?
else
    refuse "neither crictl nor ctr is on this host: fetch $image with the client of its container runtime"
fi
[ -z "${status:-}" ] || refuse "$image could not be pulled: $(echo "$said" | tail -n 1). Where the node has no way to" \
    "the registry, import it there (\`ctr -n k8s.io images import FILE\`), and run the command again"
list_images | grep -qxF -- "$image" || refuse "$image was pulled, and is not among the images of this host"
