#!/bin/bash
# A filter of mma82 on all cores, by GNU parallel: standard input in blocks of whole lines, output in the order of the input, the
# line numbers of errors those of the whole input.
#
#   filter.sh suppress --vote 0.7 < detections.jsonl > thinned.jsonl
#
# For commands that take each record by itself: suppress, infer, validate, convert, extract-skeleton. Not for merge-annotations,
# whose videos a block would cut through. BLOCK sets the bytes of a block, JOBS the processes; GNU parallel reads more from
# PARALLEL, such as `--sshloginfile machines`. An error ends the work; with `--on-error skip` all of it is done. Status 1 then,
# 2 for wrong usage.
set -euo pipefail
mma82 "$@" < /dev/null > /dev/null # wrong usage is told once

block() { # the words of the command; lines with their numbers on standard input
    set -o pipefail
    IFS= read -r -d : number || exit 0
    export before=$((number - 1))
    { (printf : && cat) | sed 's/^[0-9]*://' | mma82 "$@" 2>&1 >&3 | perl -pe '
        s/<stdin>:\K(\d+)/$1 + $ENV{before}/e;
        s/^\{"error":.*?,"file":"<stdin>","line":\K(\d+)/$1 + $ENV{before}/e;' >&2; } 3>&1
}
export -f block

halt=now,fail=1
case " $* " in *" --on-error skip "* | *" --on-error=skip "*) halt=never ;; esac
perl -ne 'print "$.:$_"' |
    SHELL=/bin/bash parallel --env block --pipe --block "${BLOCK:-10M}" --jobs "${JOBS:-100%}" --keep-order --halt "$halt" \
        --quote block "$@" || exit 1
