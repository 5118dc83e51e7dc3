# shellcheck shell=dash disable=SC2154
# Has root's end of the connection run what comes on stdin, and passes on what it says. $at: the FIFOs of this request,
# without what their names end in; $word: what our line begins with.
#
# The name is written only if somebody reads it: else nothing has begun, and another helper is needed.
if ! mkfifo -m 600 "$at.in" "$at.out" "$at.err" 2>/dev/null ||
    ! echo "${at##*/}" | dd of="${at%/*}/ask" oflag=nonblock conv=nocreat,notrunc status=none 2>/dev/null; then
    rm -f -- "$at.in" "$at.out" "$at.err"
    echo "quorate-gone-$word"
    exit 1
fi
exec 3<&0
cat <&3 >"$at.in" &
fed=$!
cat "$at.out" 3<&- &
out=$!
cat "$at.err" 3<&- >&2 &
err=$!
exec 3<&- </dev/null
wait "$out" "$err"
# What ran there has not read all of it.
kill "$fed" 2>/dev/null
