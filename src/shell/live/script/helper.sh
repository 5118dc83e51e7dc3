# shellcheck shell=dash disable=SC2154
# Root's end of a connection: sudo is asked once, for this, and what root is to do later does not come through sudo, which
# may be slow and may record what passes through it. $1: the user id of who logged in; $word: what our line begins with;
# $reader: runs a script that comes on stdin; $run: where folders are that are gone after a boot.
#
# A request is three FIFOs in a folder that is that user's alone, and its name in a fourth. What is run goes on to its end
# when this shell ends, which it does with the connection.
echo "quorate-begin-$word" >&2
cd /
umask 077

# What one that was killed has left: nobody reads there.
for old in "$run"/quorate.session.*; do
    [ -p "$old/ask" ] || continue
    : | dd of="$old/ask" oflag=nonblock conv=nocreat,notrunc status=none 2>/dev/null || rm -rf -- "$old"
done

session=$(mktemp -d "$run/quorate.session.XXXXXXXXXX") || exit 1
mkfifo "$session/new" "$session/life" || exit 1
# The second is open for writing here alone, and so for as long as this shell lives.
exec 3<&0 4<>"$session/new" 5<>"$session/life"
chown -R "$1" "$session" || exit 1
mv -- "$session/new" "$session/ask"

# Lets go whoever waits for the other end of a FIFO.
ended() {
    for fifo in "$session"/*.*; do
        [ ! -p "$fifo" ] || : <>"$fifo"
    done
    rm -rf -- "$session"
}

# A shell waits for one thing at a time, so the end of the connection comes as a request, too. Should this shell be killed,
# the folder goes all the same.
{
    cat >/dev/null
    echo end 1<>"$session/ask"
    read -r _ <&6
    ended
} <&3 6<"$session/life" 4>&- 5>&- >/dev/null 2>&1 &
watch=$!
exec 3<&-
trap 'ended; kill "$watch"; wait "$watch"' EXIT
trap 'exit 0' HUP INT TERM

serve() {
    exec 4>&- 5>&- <"$session/$1.in" >"$session/$1.out" 2>"$session/$1.err" || exit 1
    rm -f -- "$session/$1.in" "$session/$1.out" "$session/$1.err"
    exec setsid sh -c "$reader"
}

echo "quorate-way-$word $session"
# Whatever a shell says when the connection has gone would end it before it has cleared up.
exec >/dev/null 2>&1
while read -r name <&4; do
    case $name in
    end) break ;;
    '' | *[!0-9]*) ;;
    # By way of a shell that ends at once, so that nothing is left of it here when it is done.
    *) (serve "$name" &) ;;
    esac
done
