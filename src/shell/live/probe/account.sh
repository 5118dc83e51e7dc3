# shellcheck shell=dash disable=SC2154
# Whether there is the account that etcd runs as.
look_account() {
    measure
    case $stat in
    # It owns something already.
    *"$tab$q_account$tab$q_account$tab"*) echo account=present ;;
    *)
        if getent passwd "$q_account" >/dev/null && getent group "$q_account" >/dev/null; then
            echo account=present
        else
            echo account=absent
        fi
        ;;
    esac
}
