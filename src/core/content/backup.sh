# shellcheck shell=dash disable=SC2154
# Kept by quorate from cluster.toml: what is changed here by hand is put back by the next apply.
#
# Takes a scheduled snapshot of the cluster, unless another node takes it. The service gives the settings:
#
#   QUORATE_CLUSTER                    the cluster's name
#   QUORATE_ETCD                       the systemd unit of etcd, or of the kubelet that runs its pod
#   QUORATE_POD                        "yes" where it is the kubelet's; may be missing
#   QUORATE_CONFIG                     etcd.yaml, which says who the member of this node is and where it serves; or instead of it
#   QUORATE_NODE, QUORATE_DATA, QUORATE_ENDPOINT
#   QUORATE_CA, QUORATE_CERTIFICATE, QUORATE_KEY
#   QUORATE_DIRECTORY                  the folder of the snapshots
#   QUORATE_KEEP                       how many of them stay
#   QUORATE_COMPRESSION                zstd, gzip or none
#   QUORATE_METRICS                    the folder for Prometheus' node exporter; may be empty
#   QUORATE_MOUNT                      "yes" where the folder must be on a mount of its own; may be missing
#   QUORATE_LAST                       the file that says how the last run ended, for `quorate status`; may be missing
#
# The timers of all nodes fire at the same moment, and all of them queue for one lock in etcd itself. Whoever has it takes
# the snapshot and marks the slot, which is the minute in UTC, as done; whoever gets it next sees the mark and goes home.
# A node that is down does not queue. One that fails gives the lock back without a mark, and one that dies loses it with
# its lease: in both cases the next in the queue takes the snapshot. Both keys are quorate's own, and the marks go by
# themselves.
#
# Lock and mark are writes, and a snapshot is a read. Where etcd refuses the lock (the alarms NOSPACE and CORRUPT, no leader)
# every node takes the snapshot without it: rather one too many than one too few.
#
# Other clusters may use the same folder. A snapshot is ours when NAME.json beside it has our cluster's id: no other one is
# counted or removed, whatever its name is.
set -eu
LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL TZ PATH
umask 077
# Nothing of systemd's environment goes on but our own settings: DefaultEnvironment= or a drop-in for every service may hold
# what changes what etcd's tools do, as ETCDCTL_ENDPOINTS or a proxy.
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case $name in
    QUORATE_* | LC_ALL | TZ | PATH | PWD | SHELLOPTS | BASHOPTS) ;;
    # What `take` below is given.
    cluster | database) ;;
    *) unset "$name" ;;
    esac
done

slots=/quorate/backup/slots
lock=/quorate/backup/lock
# Seconds. A holder that dies keeps the others waiting for that long.
lock_lives=30
# Seconds. Longer than clocks of nodes differ.
mark_lives=7200
# Why the lock could not be had, where the snapshot is taken without it; why the run failed; what it has half made.
unlocked='' why='' made=''
# What is said first on stderr by who has the lock.
begun=quorate-begun

fail() {
    why=$*
    echo "$*" >&2
    exit 1
}

# tell RESULT [WORDS]: how this run ended, for whoever looks at the host.
tell() {
    [ -n "${QUORATE_LAST-}" ] || return 0
    if {
        echo "at=$(date +%s)"
        echo "result=$1"
        [ -z "${2-}" ] || echo "$2" | head -c 4000 | sed 's/^/said=/'
    } >"$QUORATE_LAST.next" && mv -f -- "$QUORATE_LAST.next" "$QUORATE_LAST"; then :; else
        echo "$QUORATE_LAST could not be written" >&2
    fi
}

# Whatever goes wrong is told beside the last good one, too.
ended() {
    status=$?
    [ -z "$made" ] || rm -rf -- "$made"
    if [ "$status" != 0 ]; then
        metrics 0
        tell failed "${why:-it exited with status $status}"
    fi
}

# Ends with an error where the folder must be on a mount of its own and is not.
is_mounted() {
    [ "${QUORATE_MOUNT-}" = yes ] || return 0
    mounted "$QUORATE_DIRECTORY" "$data" ||
        fail "$QUORATE_DIRECTORY is not mounted: it is on the file system of $mount, and [backup] says \`mount = true\`." \
            "No snapshot is taken, and nothing written there"
}

# The tools of the etcd that runs here, whichever version that is.
tools() {
    if [ "${QUORATE_POD-}" = yes ]; then
        pid=$(pod_etcd "$data") || pid=''
        case $pid in
        '' | *[!0-9]*) fail "no pod of the kubelet runs etcd with $data here: the other nodes take the snapshot" ;;
        esac
    else
        pid=$(systemctl show -p MainPID --value -- "$QUORATE_ETCD")
        case $pid in
        '' | 0) fail "$QUORATE_ETCD does not run here: the other nodes take the snapshot" ;;
        esac
    fi
    executable=$(readlink "/proc/$pid/exe") || fail "etcd has just ended here"
    folder=${executable%/*}
    # Those of a pod are in its image.
    [ "${QUORATE_POD-}" != yes ] || folder=/proc/$pid/root$folder
    [ -x "$folder/etcdctl" ] || fail "there is no etcdctl in $folder"
}

# Which node this is, and where its member serves and has its data.
identify() {
    node=${QUORATE_NODE-} data=${QUORATE_DATA-} endpoint=${QUORATE_ENDPOINT-}
    [ -z "$node" ] || return 0
    node=$(sed -n 's/^name: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$QUORATE_CONFIG")
    data=$(sed -n 's/^data-dir: //p' "$QUORATE_CONFIG")
    endpoint=$(sed -n 's/^advertise-client-urls: //p' "$QUORATE_CONFIG")
    case ,$node,$endpoint, in
    *,,*) fail "$QUORATE_CONFIG does not say who this member is" ;;
    esac
}

etcdctl() {
    "$folder/etcdctl" --endpoints="$endpoint" --cacert="$QUORATE_CA" --cert="$QUORATE_CERTIFICATE" \
        --key="$QUORATE_KEY" "$@"
}

# Who took the snapshot of the slot; empty when nobody has.
taker() {
    etcdctl --command-timeout=20s get --print-value-only "$slots/$slot" </dev/null
}

# Who the member here is, who leads, and of which cluster; whoever takes the snapshot is told the last. Ends with an error
# where the member here is none to take a snapshot of.
ask() {
    said=$(etcdctl --command-timeout=20s -w fields endpoint status </dev/null) || fail "the member here gives no answer"
    member=$(echo "$said" | sed -n 's/^"MemberID" : //p')
    leader=$(echo "$said" | sed -n 's/^"Leader" : //p')
    cluster=$(echo "$said" | sed -n 's/^"ClusterID" : //p')
    database=$(echo "$said" | sed -n 's/^"DBSize" : //p')
    export cluster database
    # "Errors" : [memberID:10276657743932975437 alarm:CORRUPT ]
    case $(echo "$said" | tr -s ' ') in
    *'"IsLearner" : true'*) fail "the member here is a learner, which gives no snapshot: the other nodes take it" ;;
    *"memberID:$member alarm:CORRUPT"*)
        fail "the data of the member here differs from the others' (alarm CORRUPT): the other nodes take the snapshot"
        ;;
    esac
}

# What depends on the cluster: its id as etcdctl prints it, and a place for what is half made, told from those of other
# nodes and clusters that use the folder.
settle() {
    id=$(printf '%x' "$cluster")
    staged=$QUORATE_DIRECTORY/.scheduled-$node-$id.quorate
}

# Ends with an error unless the snapshot has room, and what is made of it. Where etcd's data lies on the same disk, room
# must be left for etcd: it ends when that is full, and then the next node would take the snapshot.
room() {
    needed=$((database / 1024))
    [ "$QUORATE_COMPRESSION" = none ] || needed=$((needed * 2))
    if [ "$(stat -L -c %d "$QUORATE_DIRECTORY")" = "$(stat -L -c %d "$data")" ]; then
        needed=$((needed + 262144))
    fi
    free=$(df -P -k -- "$QUORATE_DIRECTORY" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
    [ "$free" -ge "$needed" ] ||
        fail "a snapshot needs $((needed / 1024)) MiB free in $QUORATE_DIRECTORY, and $((free / 1024)) are"
}

# The leader of the raft group has more to do than the others, so it queues last; they queue in an order that changes
# from slot to slot, so that no disk holds all snapshots.
queue_time() {
    order=$(printf '%s %s' "$slot" "$node" | cksum)
    order=$((${order%% *} % 5))
    if [ "$member" = "$leader" ]; then
        order=$((order + 5))
    fi
    echo "$order"
}

# Ends with an error unless $1 is a whole snapshot: whole pages and then their SHA-256, which a cut one does not have; and
# what it holds can be read. Then its revision is known.
check() {
    bytes=$(stat -c %s "$1")
    [ "$((bytes % 512))" = 32 ] || fail "the snapshot is not whole: it has $bytes bytes"
    sum=$(head -c "$((bytes - 32))" "$1" | sha256sum)
    ends=$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')
    [ "${sum%% *}" = "$ends" ] || fail "the snapshot is not whole: its SHA-256 is not the one that it ends in"
    # etcdctl cannot do it from 3.6 on, and 3.4 has nothing else.
    tool=$folder/etcdutl
    [ -x "$tool" ] || tool=$folder/etcdctl
    said=$("$tool" -w json snapshot status "$1" 2>&1 </dev/null) || fail "${tool##*/} snapshot status: $said"
    revision=$(echo "$said" | sed -n 's/.*"revision":\([0-9]*\).*/\1/p')
}

# What is known of $name besides its bytes, for the list of snapshots.
describe() {
    printf '{"cluster_id":"%s","revision":%d,"bytes":%d}\n' "$id" "$revision" "$bytes" >"$staged/facts" &&
        mv -f -- "$staged/facts" "$QUORATE_DIRECTORY/$name.json"
}

# Compresses $1 to $2, and reads it again.
compress() {
    case $QUORATE_COMPRESSION in
    zstd) zstd -q -c -- "$1" >"$2" && zstd -q -t -- "$2" ;;
    gzip) gzip -c -- "$1" >"$2" && gzip -t -- "$2" ;;
    none) ln -- "$1" "$2" ;;
    *) fail "the compression $QUORATE_COMPRESSION is not known" ;;
    esac
}

# known PATH: what is known of a snapshot besides its bytes: $of which cluster it is, and how $long; empty where that is not
# told.
known() {
    of='' long='' line=''
    { read -r line <"$1.json"; } 2>/dev/null || :
    case $line in
    *'"cluster_id":"'*)
        of=${line#*'"cluster_id":"'}
        of=${of%%'"'*}
        ;;
    esac
    case $line in
    *'"bytes":'*)
        long=${line#*'"bytes":'}
        long=${long%%[!0-9]*}
        ;;
    esac
}

# counts PATH: whether it is as long as it was when it was checked.
counts() {
    known "$1"
    [ "$(stat -c %s -- "$1")" = "$long" ]
}

# Our snapshots that were finished here, the newest first; their names say when. What a clock that was ahead has named
# comes last: nobody knows how old that is. Clocks of nodes differ a little.
finished() {
    latest=$QUORATE_DIRECTORY/snapshot-$(date -d "@$(($(date +%s) + 600))" +%Y%m%d_%H%M%S).latest
    sorted=$({ named && echo "$latest"; } | sort -r)
    echo "$sorted" | sed -n '/\.latest$/,$p' | sed 1d
    echo "$sorted" | sed '/\.latest$/,$d'
}

named() {
    for path in "$QUORATE_DIRECTORY"/snapshot-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]_[0-9][0-9][0-9][0-9][0-9][0-9].db*; do
        case $path in
        *.db | *.db.zst | *.db.gz) [ -f "$path" ] || continue ;;
        *) continue ;;
        esac
        known "$path"
        [ "$of" != "$id" ] || echo "$path"
    done
}

# Called only when the newest one has just been checked: that one always stays. What does not count takes nobody's place.
rotate() {
    stay=$QUORATE_KEEP
    finished | while read -r path; do
        if [ "$stay" -gt 0 ]; then
            ! counts "$path" || stay=$((stay - 1))
            continue
        fi
        # Beside a name from a clock that was ahead it may not look like the newest.
        [ "$path" != "$QUORATE_DIRECTORY/$name" ] || continue
        rm -f -- "$path.json" "$path"
        echo "removed $path"
    done
}

# metrics SUCCESS [TIME SIZE DURATION]: without the last three, those of the last snapshot stay as they are.
metrics() {
    [ -n "$QUORATE_METRICS" ] && [ -d "$QUORATE_METRICS" ] || return 0
    file=$QUORATE_METRICS/quorate_backup.prom
    labels="{cluster=\"$QUORATE_CLUSTER\",node=\"$node\"}"
    kept=
    [ ! -f "$file" ] || kept=$(grep "^quorate_backup_last_success_" "$file") || :
    next=$QUORATE_METRICS/.quorate_backup.prom.$$
    if {
        for gauge in last_run_timestamp_seconds last_run_success last_success_timestamp_seconds \
            last_success_size_bytes last_success_duration_seconds; do
            echo "# TYPE quorate_backup_$gauge gauge"
        done
        echo "quorate_backup_last_run_timestamp_seconds$labels $(date +%s)"
        echo "quorate_backup_last_run_success$labels $1"
        if [ "$#" = 4 ]; then
            echo "quorate_backup_last_success_timestamp_seconds$labels $2"
            echo "quorate_backup_last_success_size_bytes$labels $3"
            echo "quorate_backup_last_success_duration_seconds$labels $4"
        else
            [ -z "$kept" ] || echo "$kept"
        fi
    } >"$next" && chmod 644 "$next" && mv -f -- "$next" "$file"; then :; else
        rm -f -- "$next"
        echo "the metrics could not be written to $QUORATE_METRICS" >&2
    fi
}

# Says that we have taken the snapshot of the slot.
mark() {
    said=$(etcdctl lease grant "$mark_lives" </dev/null) || return 1
    # lease 694da1fd4b357705 granted with TTL(7200s)
    lease=${said#lease }
    etcdctl put --lease="${lease%% *}" -- "$slots/$slot" "$node" </dev/null >/dev/null
}

# Gives what was made its name. Another cluster that uses the folder may have taken that name meanwhile: then it is the one
# of a moment later.
publish() {
    stem=$name
    for seconds in 0 1 2 3 4 5 6 7 8 9; do
        name=$(date -d "@$((since + seconds))" +snapshot-%Y%m%d_%H%M%S).db${stem#*.db}
        [ ! -e "$QUORATE_DIRECTORY/$name" ] || continue
        mv -n -- "$staged/$stem" "$QUORATE_DIRECTORY/$name"
        [ -e "$staged/$stem" ] || return 0
    done
    fail "$QUORATE_DIRECTORY/$name is there already"
}

# Takes the snapshot of the slot, unless that is done. We hold the lock, or it cannot be had.
take() {
    by=
    if [ "$leader" != 0 ] && ! by=$(taker); then
        echo "slot $slot: whether another node has taken it cannot be read" >&2
        by=
    fi
    if [ -n "$by" ]; then
        echo "slot $slot: $by has taken it"
        tell left "$by has taken it"
        return
    fi
    since=$(date +%s)
    name=snapshot.db
    case $QUORATE_COMPRESSION in
    zstd) name=$name.zst ;;
    gzip) name=$name.gz ;;
    esac
    is_mounted
    room
    made=$staged
    mkdir -m 700 -- "$staged"
    said=$(etcdctl snapshot save "$staged/db" 2>&1 </dev/null) || fail "etcdctl snapshot save: $said"
    check "$staged/db"
    compress "$staged/db" "$staged/$name"
    sync "$staged/$name"
    bytes=$(stat -c %s "$staged/$name")
    publish
    sync "$QUORATE_DIRECTORY"
    describe 2>/dev/null || echo "$name.json could not be written: $name will not be counted" >&2
    # From here on there is a good one more. Without its mark the next node takes another, which does no harm.
    [ -n "$unlocked" ] || mark || echo "slot $slot could not be marked as done" >&2
    now=$(date +%s)
    rotate
    metrics 1 "$now" "$bytes" "$((now - since))"
    echo "slot $slot: $QUORATE_DIRECTORY/$name, $bytes bytes"
    if [ -n "$unlocked" ]; then
        tell taken-alone "$unlocked"
    else
        tell taken
    fi
}

# Queues for the lock, and takes the snapshot under it. Fails when the lock was not had: then nothing was begun, and
# $unlocked says why. What the run itself says comes through.
take_in_turn() {
    unlocked="the member here has no leader"
    [ "$leader" != 0 ] || return 1
    if {
        said=$(etcdctl lock --ttl="$lock_lives" -- "$lock" sh "$0" take "$slot" "$folder" "$leader" 2>&1 >&3 </dev/null)
    } 3>&1; then
        ended=0
    else
        ended=1
    fi
    case $said in
    *"$begun"*)
        why=$(echo "$said" | sed "/^$begun\$/d")
        [ -z "$why" ] || echo "$why" >&2
        [ "$ended" = 0 ] || exit 1
        return 0
        ;;
    esac
    unlocked=$(echo "$said" | sed -n 's/^Error: *//p' | tail -n 1)
    unlocked=${unlocked:-$said}
    return 1
}

identify
case ${1-} in
'')
    slot=$(date +%Y%m%dT%H%M)
    trap ended EXIT
    trap 'why="it was interrupted"; exit 143' HUP INT TERM
    is_mounted
    tools
    mkdir -p -- "$QUORATE_DIRECTORY"
    chmod 700 "$QUORATE_DIRECTORY"
    ask
    settle
    # What a run that was killed has left. systemd starts no second one beside it.
    rm -rf -- "$staged"
    seconds=$(queue_time)
    sleep "$seconds"
    if ! take_in_turn; then
        echo "slot $slot: $node takes it without the lock, which etcd refuses ($unlocked): other nodes may take it, too" >&2
        take
    fi
    metrics 1
    ;;
take)
    slot=$2 folder=$3 leader=$4
    settle
    trap '[ -z "$made" ] || rm -rf -- "$made"' EXIT
    trap 'exit 143' HUP INT TERM
    echo "$begun" >&2
    take
    ;;
*) fail "usage: $0" ;;
esac
