# shellcheck shell=dash disable=SC2154
# Has root's end of the connection run what comes on stdin, and passes on what it says. $at: the FIFOs of this request,
# without what their names end in; $word: what our line begins with. It is sent as one line.
#
# The helper makes FIFOs ahead. When it has gone, so has the folder, and whoever waits for it is let go: what has not begun
# then is said to be for another one. What is not read of stdin when all is said holds nobody up.
gone() { [ -p "${at%/*}/ask" ] || echo "quorate-gone-$word"; };
[ -O "$at.err" ] || { at=${at}x; mkfifo -m 600 "$at.in" "$at.out" "$at.err"; } || { gone; exit 1; };
echo "${at##*/}" 1<>"${at%/*}/ask" || { gone; exit 1; };
exec 3<&0;
cat <&3 >"$at.in" & fed=$!;
cat "$at.out" 3<&- & out=$!;
cat "$at.err" 3<&- >&2 & err=$!;
exec 3<&- </dev/null;
wait "$out" "$err";
kill "$fed" 2>/dev/null;
gone
