# shellcheck shell=dash disable=SC2154
# The one look at a host: everything a plan needs to know of it, in one answer.
#
# It only reads. No temporary file, no here-document (some shells write those to disk), nothing in the background. What
# the shell can do itself is done without starting a program: the look must cost less than logging in.
#
# Above this text stand the assignments that name what to look at; every path is made of letters, digits and
# / - . _ + @ only. The answer is lines in [sections], then the text of files, whose lengths [stat] gives:
#
#     quorate-probe 1
#     [host]
#     machine=x86_64
#     …
#     [bodies]
#     /etc/etcd/etcd.yaml
#     (an empty line, the bytes of all the files listed, one after the other)
#     quorate-end

newline='
'
tab='	'
# A text longer than this is none that we know: only its size is told.
text_bytes_max=1048576

# The public half of a P-256 key in PKCS#8 as quorate writes it: the last 66 of its 138 bytes, so the last 88 of its
# 184 letters. The private half stays in this shell. Any other form is openssl's to read.
public_point() {
    begin='' first='' second='' third='' end=''
    {
        read -r begin && read -r first && read -r second && read -r third && { read -r end || [ -n "$end" ]; }
    } <"$1" || return 1
    [ "$begin$end" = '-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----' ] || return 1
    [ "${#first}.${#second}.${#third}" = 64.64.56 ] || return 1
    case $first in
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg*) ;;
    *) return 1 ;;
    esac
    echo "$1 point ${second#????????????????????????????????}$third"
}

keys() {
    for key in $q_keys; do
        [ -f "$key" ] || continue
        public_point "$key" && continue
        pem=$(openssl pkey -in "$key" -passin pass: -pubout 2>/dev/null) || continue
        pem=${pem#*"$newline"}
        IFS=$newline
        # shellcheck disable=SC2086 # split at the ends of lines
        set -- ${pem%"$newline"*}
        IFS=
        echo "$key spki $*"
        IFS=" $tab$newline"
    done
}

data() {
    if [ -d "$q_data/member" ]; then
        echo data=member
        return
    fi
    if [ -e "$q_data" ] && [ ! -d "$q_data" ]; then
        echo data=foreign
        return
    fi
    for entry in "$q_data"/* "$q_data"/.[!.]* "$q_data"/..?*; do
        case ${entry##*/} in
        # What mkfs leaves on a disk of its own, and what etcd leaves when it is killed while it tries the folder.
        lost+found | .touch | quorate-restored) continue ;;
        # Where the data of a removed member, or the copy of a survivor's, is kept on such a disk.
        removed-[0-9]* | before-force-[0-9]* | before-restore-[0-9]*) continue ;;
        # What one that was killed has left of its work; the next one clears it away.
        .restore-data.quorate | .before-force.quorate) continue ;;
        esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then
            echo data=foreign
            return
        fi
    done
    echo data=empty
}

# The folders that hold an etcd: the declared one, and every other version beside it.
versions() {
    checked=0
    for folder in "$q_folder" "$q_binaries"/*; do
        if [ "$folder" != "$q_folder" ]; then
            case ${folder##*/} in
            *[!0-9.]*) continue ;;
            esac
        elif [ "$checked" != 0 ]; then
            continue
        fi
        checked=$((checked + 1))
        [ "$checked" -le 50 ] || break
        if [ -f "$folder/etcd" ] && [ -x "$folder/etcd" ] && [ -f "$folder/etcdctl" ] && [ -x "$folder/etcdctl" ]; then
            folders="$folders $folder"
        fi
    done
}

# What is installed is checked by size against the record made when it was unpacked. Reading it whole costs a second of
# CPU, so that is done only for what was written after the record.
installed() {
    for folder in $folders; do
        if [ -n "$q_preinstalled" ] && [ "$folder" = "$q_folder" ]; then
            version=$("$folder/etcd" --version </dev/null)
            echo "preinstalled=${version%%"$newline"*}"
            continue
        fi
        echo "folder=$folder"
        record=$folder/quorate.sha256
        [ -f "$record" ] || continue
        records="$records $record"
        for binary in "$folder/etcd" "$folder/etcdctl" "$folder/etcdutl"; do
            [ -f "$binary" ] || continue
            binaries="$binaries $binary"
            if [ "$binary" -nt "$record" ]; then
                summed="$summed $binary"
            fi
        done
    done
}

tools() {
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

process() {
    [ -d "/proc/$pid" ] || return
    executable=
    for folder in $folders; do
        if [ "/proc/$pid/exe" -ef "$folder/etcd" ]; then
            executable=$folder/etcd
            break
        fi
    done
    if [ -z "$executable" ]; then
        executable=$(readlink "/proc/$pid/exe") || return
        [ "$executable" -ef "/proc/$pid/exe" ] || echo replaced=yes
    fi
    echo "executable=$executable"
    grep -qzxF -e "--config-file=$q_config" "/proc/$pid/cmdline" || echo foreign-config=yes
    uid=
    while read -r name value _; do
        if [ "$name" = Uid: ]; then
            uid=$value
            break
        fi
    done <"/proc/$pid/status"
    echo "uid=$uid"
}

# Whether the store that etcd 3.6 no longer reads holds anything. Older ones of 3.5 cannot tell.
v2store() {
    case ${executable##"$q_binaries"/} in
    3.5.*/etcd) ;;
    *) return ;;
    esac
    utility=${executable%/etcd}/etcdutl
    [ -x "$utility" ] || return
    said=$(timeout 10 "$utility" check v2store --data-dir "$q_data" 2>&1 </dev/null)
    status=$?
    case $said in
    *'unknown command'*) return ;;
    esac
    echo '[v2store]'
    echo "status=$status"
    echo "$said"
}

# The cluster version in the newest snapshot of the raft log: the last by its name, term and index in hex.
raft_log() {
    newest=
    for path in "$q_data"/member/snap/*.snap; do
        [ -f "$path" ] && newest=$path
    done
    [ -n "$newest" ] || return
    said=$(grep -a -o -m 1 '"Path":"/0/version"[^}]*"Value":"[0-9.]*"' "$newest") || return
    said=${said%\"}
    echo '[log]'
    echo "version=${said##*\"}"
}

# The digests of what the process loaded, which our unit put into its environment.
loaded() {
    value=$(grep -z -m 1 "^$q_loaded=" "/proc/$pid/environ" 2>/dev/null) || return
    echo "${value#"$q_loaded="}"
}

# The timer of scheduled snapshots, the newest one by its name, and the last drill. Only a finished one has such a name.
scheduled() {
    if [ -z "$q_compressor" ] || command -v "$q_compressor" >/dev/null; then
        echo compressor=present
    fi
    newest=
    # What a clock that was ahead has named says nothing of when the last one was taken. Clocks of hosts differ a little.
    latest=$(date -d '10 minutes' +%Y%m%d%H%M%S 2>/dev/null) || latest=99999999999999
    # Sorted by the shell: the newest comes last.
    for path in "$q_backup"/snapshot-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]_[0-9][0-9][0-9][0-9][0-9][0-9].db*; do
        case $path in
        *.db | *.db.zst | *.db.gz) ;;
        *) continue ;;
        esac
        stamp=${path##*/snapshot-}
        stamp=${stamp%%.*}
        if [ -f "$path" ] && [ "${stamp%_*}${stamp#*_}" -le "$latest" ]; then
            newest=$path
        fi
    done
    if [ -n "$newest" ]; then
        echo "last=${newest##*/}"
        printf 'bytes='
        stat -c %s "$newest"
    fi
    if [ -f "$q_backup/last-drill.json" ]; then
        printf 'drill='
        head -c 1000 "$q_backup/last-drill.json" | tr -d '\n'
        echo
    fi
    systemctl show --no-pager -p UnitFileState,ActiveState,NeedDaemonReload -- quorate-backup.timer quorate-backup.service
}

# Who listens on our ports, from the kernel's own table: ss would take three times as long to say the same. Who that is
# ss alone can say, by reading every process; that is done only when it is not our etcd's user.
listeners() {
    listening=$(grep -h -E ":($q_ports_hex) [0:]+ 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    echo "$listening"
    foreign='' serving=''
    IFS=$newline
    for line in $listening; do
        IFS=" $tab$newline"
        # shellcheck disable=SC2086
        set -- $line
        # sl, local address, remote address, state, queues, timer, retransmissions, uid
        if [ "$8" != "$uid" ]; then
            foreign=yes
        elif [ "${2##*:}" = "$q_client_port_hex" ]; then
            serving=yes
        fi
    done
    IFS=" $tab$newline"
    if [ -n "$foreign" ] && [ -z "$pid" ]; then
        # A recovery that was killed: its etcd ends within a minute, or when our unit is started.
        echo '[forced]'
        systemctl show --value -p MainPID quorate-force-new-cluster.service
    fi
    if [ -n "$foreign" ]; then
        echo '[holders]'
        ss -ltnpH
    fi
    # An etcd that still listens where it was told to at its start, before the declaration changed.
    if [ -z "$serving" ] && [ -n "$uid" ]; then
        echo '[own]'
        ss -ltnpH | grep -F ",pid=$pid,"
    fi
}

main() {
    LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
    export LC_ALL TZ PATH
    IFS=" $tab$newline"
    echo 'quorate-probe 1'
    for program in cat date getent grep readlink sha256sum stat; do
        if ! command -v "$program" >/dev/null; then
            echo '[missing]'
            echo "$program"
            echo quorate-end
            return
        fi
    done
    if [ ! -O /proc/1 ]; then
        echo '[not-root]'
        echo quorate-end
        return
    fi
    echo '[host]'
    # Linux 6.1 and newer say it without a program.
    if ! { read -r machine </proc/sys/kernel/arch; } 2>/dev/null; then
        machine=$(uname -m)
    fi
    echo "machine=$machine"
    # By it a machine is recognised that is reached under two names.
    if { read -r id </etc/machine-id; } 2>/dev/null; then
        echo "machine-id=$id"
    fi
    printf 'now='
    date +%s
    if [ ! -d /run/systemd/system ]; then
        printf 'init='
        cat /proc/1/comm
        echo '[no-systemd]'
        echo quorate-end
        return
    fi
    folders='' records='' binaries='' summed='' uid=''
    data
    versions
    installed
    tools

    echo '[unit]'
    properties=ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,DropInPaths,ExecMainStartTimestamp
    unit=$(systemctl show --no-pager -p "$properties" -- "$q_service")
    echo "$unit"
    case $unit in
    *ActiveState=failed* | *SubState=auto-restart*)
        echo '[complaint]'
        timeout 5 journalctl --no-pager --output cat --lines 20 "_SYSTEMD_UNIT=$q_service"
        ;;
    esac
    pid="$newline$unit"
    pid=${pid##*"$newline"MainPID=}
    pid=${pid%%"$newline"*}
    case $pid in
    '' | 0 | *[!0-9]*) ;;
    *)
        echo '[process]'
        process
        echo '[loaded]'
        loaded
        if [ -n "$q_v2store" ]; then
            v2store
        fi
        if [ -n "$q_log" ]; then
            raft_log
        fi
        ;;
    esac
    if [ -d "$q_snapshots" ]; then
        echo '[snapshots]'
        stat -c '%Y %n' "$q_snapshots"/before-*.db 2>/dev/null
    fi
    echo '[pushed]'
    for path in "$q_data".restore-*.db; do
        [ -f "$path" ] && echo "$path"
    done
    if [ -n "$q_backup" ]; then
        echo '[scheduled]'
        scheduled
    fi
    echo '[listeners]'
    listeners
    echo '[keys]'
    keys

    known=
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
    stat=
    if [ -n "$known" ]; then
        # shellcheck disable=SC2086 # one word a path
        stat=$(stat -L --printf='%n\t%F\t%a\t%U\t%G\t%s\t%Y\n' $known)
    fi
    echo '[account]'
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
    echo quorate-end
}

main </dev/null
