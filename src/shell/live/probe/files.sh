# shellcheck shell=dash disable=SC2154
# Our files and folders: which there are, what stat and sha256sum say of them, and the text of those that are no keys. It
# comes last: the bytes of the texts end the answer.

# A text longer than this is none that we know: only its size is told.
text_bytes_max=1048576

# One stat for all of them, and for what is installed.
measure() {
    [ -z "$known" ] || return 0
    for path in $q_folders; do
        if [ -d "$path" ]; then
            known="$known $path"
        fi
    done
    for path in $q_texts $q_keys; do
        if [ -f "$path" ]; then
            known="$known $path"
            summed="$summed $path"
        fi
    done
    known="$known$records$binaries"
    # Links are followed, as etcd follows them.
    if [ -n "$known" ]; then
        # shellcheck disable=SC2086 # one word a path
        stat=$(stat -L --printf='%n\t%F\t%a\t%U\t%G\t%s\t%Y\n' $known)
    fi
}

look_files() {
    measure
    echo '[known]'
    for path in $known; do
        echo "$path"
    done
    echo '[stat]'
    echo "$stat"
    echo '[sums]'
    if [ -n "$summed" ]; then
        # shellcheck disable=SC2086
        sha256sum $summed
    fi
    echo '[bodies]'
    bodies=
    IFS=$newline
    for line in $stat; do
        IFS=$tab
        # shellcheck disable=SC2086
        set -- $line
        case " $q_texts$records " in
        *" $1 "*)
            if [ "$6" -le "$text_bytes_max" ]; then
                bodies="$bodies $1"
                echo "$1"
            fi
            ;;
        esac
    done
    IFS=" $tab$newline"
    echo
    if [ -n "$bodies" ]; then
        # shellcheck disable=SC2086
        cat $bodies
    fi
    echo
}
