# shellcheck shell=dash disable=SC2034,SC2154
# What etcdctl on the PATH leads to.
look_tools() {
    if [ -L "$q_tools" ]; then
        for folder in $folders; do
            if [ "$q_tools" -ef "$folder/etcdctl" ]; then
                echo "tools=$folder/etcdctl"
                return
            fi
        done
        echo "tools=$(readlink "$q_tools")"
    elif [ -e "$q_tools" ]; then
        echo tools=foreign
    fi
}
