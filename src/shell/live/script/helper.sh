# shellcheck shell=dash disable=SC2154
# Root's end of a connection: sudo is asked once, for this, and what root is to do later does not come through sudo, which
# may be slow and may record what passes through it. $1: the user id of who logged in; $word: what our line begins with;
# $reader: runs a script that comes on stdin; $run: where folders are that are gone after a boot.
#
# A request is three FIFOs in a folder that is that user's alone, and its number in a fourth. What is run goes on to its end
# when this shell ends, which it does with the connection. FIFOs are made ahead, many by one program.
echo "quorate-begin-$word" >&2
cd /
umask 077

# What one that was killed has left: nobody reads there.
for old in "$run"/quorate.session.*; do
    [ -p "$old/ask" ] || continue
    : | dd of="$old/ask" oflag=nonblock conv=nocreat,notrunc status=none 2>/dev/null || rm -rf -- "$old"
done

session=$(mktemp -d "$run/quorate.session.XXXXXXXXXX") || exit 1
uid=$1
mkfifo "$session/new" "$session/life" || exit 1
# The second is open for writing here alone, and so for as long as this shell lives.
exec 3<&0 4<>"$session/new" 5<>"$session/life"

# make NUMBER: the FIFOs of so many requests from NUMBER on. Long before them there is none that is not open at both ends.
ahead=16
names() {
    number=$1 names=
    while [ "$number" -lt "$(($1 + ahead))" ]; do
        names="$names $number.in $number.out $number.err"
        number=$((number + 1))
    done
}
# shellcheck disable=SC2086
make() (
    cd "$session" || exit 1
    if [ "$1" -ge "$((8 * ahead))" ]; then
        names "$(($1 - 8 * ahead))"
        rm -f -- $names
    fi
    names "$1"
    mkfifo $names && chown "$uid" $names
)
make 0
chown -R "$uid" "$session" || exit 1
mv -- "$session/new" "$session/ask"

# Lets go whoever waits for the other end of a FIFO. Under its new name nobody comes to wait for one meanwhile.
ended() {
    [ ! -d "$session" ] || mv -T -- "$session" "$session.gone"
    for fifo in "$session.gone"/*.*; do
        [ ! -p "$fifo" ] || : <>"$fifo"
    done
    rm -rf -- "$session.gone"
}

# A shell waits for one thing at a time, so the end of the connection comes as a request, too. Should this shell be killed,
# the folder goes all the same, and whoever waits is let go.
{
    cat >/dev/null
    echo end 1<>"$session/ask"
} <&3 4>&- 5>&- >/dev/null 2>&1 &
{
    read -r _ <&6
    ended
} 6<"$session/life" 4>&- 5>&- </dev/null >/dev/null 2>&1 3<&- &
watch=$!
exec 3<&-
trap 'ended; kill "$watch"; wait "$watch"' EXIT
trap 'exit 0' HUP INT TERM

serve() {
    exec 4>&- 5>&- <"$session/$1.in" >"$session/$1.out" 2>"$session/$1.err" || exit 1
    eval "$reader"
}

echo "quorate-way-$word $session"
# Whatever a shell says when the connection has gone would end it before it has cleared up.
exec >/dev/null 2>&1
while read -r name <&4; do
    case $name in
    end) break ;;
    '' | *[!0-9x]*) ;;
    # By way of a shell that ends at once, so that nothing is left of it here when it is done.
    *)
        (serve "$name" &)
        name=${name%x}
        [ "$((name % ahead))" != 0 ] || make "$((name + ahead))"
        ;;
    esac
done
