# shellcheck shell=dash disable=SC2034,SC2154
# The one look at a host: everything a plan needs to know of it, in one answer.
#
# It only reads. No temporary file, no here-document (some shells write those to disk), nothing in the background. What
# the shell can do itself is done without starting a program: the look must cost less than logging in.
#
# Above this text stand the assignments that name what to look at; every path is made of letters, digits and
# / - . _ + @ only. Below it stand the sections, one function each, in the order in which they are called. The answer is
# lines under [headings], then the text of files, whose lengths [stat] gives:
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

# What one section has found and later ones go on from: folders with an etcd, where data is instead, their records and binaries, what systemd says
# of the unit, its main process and that one's executable and user, the log of a pod that has failed, and whether the process has noted what it loads; who is connected
# to the client port; all paths that are there, what to take the SHA-256 of, and what stat says.
folders='' elsewhere='' written='' records='' binaries='' unit='' pid='' executable='' uid='' exited='' recorded='' connected='' known='' summed='' stat=''
# Set where nothing that comes later can be looked at.
over=''

main() {
    LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
    export LC_ALL TZ PATH
    IFS=" $tab$newline"
    echo 'quorate-probe 1'
    for program in $q_needs; do
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
    for section in $q_sections; do
        echo "[$section]"
        "look_$section"
        [ -z "$over" ] || break
    done
    echo quorate-end
}
