#!/bin/sh
# rt-proxy @VERSION@ for @PLATFORM@: this script, and behind its last line a gzipped tar.
#
# At its first start it unpacks itself, @MEGABYTES@ MB, into a folder of the user who starts it, and from
# then on runs what is there. The program takes the place of this script, with its process id:
# signals, exit statuses and supervisors work as with any other program.
#
# RT_PROXY_UNPACK_IN=FOLDER says where, in place of the folders that are tried below.

set -u
umask 077

name=rt-proxy-@KEY@
self=$0
user=$(id -u)
common=${TMPDIR:-/tmp}
problems=

# Whether a folder is the user's own, so that nobody else can put a program there. Where everybody
# may write, a link to it is not: who made it can have it lead elsewhere in the next moment.
is_own() {
    case $1 in
    "$common"/*) [ ! -L "$1" ] || return 1 ;;
    esac
    [ -d "$1" ] && [ -O "$1" ]
}

# Runs what was unpacked; returns if that is not there.
start_from() {
    folder=$1
    shift
    if is_own "$folder" && is_own "$folder/$name" && [ -x "$folder/$name/rt-proxy" ]; then
        exec "$folder/$name/rt-proxy" "$@"
    fi
}

# Unpacks into a folder; where it cannot, says why in $why and returns 1.
unpack_into() {
    folder=$1
    part=$folder/.$name.$$
    if ! why=$(mkdir -p "$folder" 2>&1); then
        return 1
    fi
    if ! is_own "$folder"; then
        why="it is not a folder of your own"
        return 1
    fi
    sweep "$folder"
    if ! why=$(mkdir "$part" 2>&1); then
        return 1
    fi
    trap 'rm -rf "$part"; exit 1' HUP INT TERM
    if ! why=$(unpack "$part" 2>&1); then
        rm -rf "$part"
        return 1
    fi
    # Whoever else has been first has unpacked the same.
    mv -T "$part" "$folder/$name" 2>/dev/null || rm -rf "$part"
    trap - HUP INT TERM
}

unpack() {
    printf '#!/bin/sh\n' >"$1/probe" || return 1
    chmod 700 "$1/probe"
    if ! "$1/probe" 2>/dev/null; then
        echo "programs must not be run from there (noexec)"
        return 1
    fi
    rm "$1/probe"
    tail -n +@LINES@ "$self" | tar -xzof - -C "$1"
}

# Removes what a start left that was killed, and other versions that nobody runs any more.
sweep() {
    for left in "$1"/.rt-proxy-*; do
        [ -d "$left" ] && ! kill -0 "${left##*.}" 2>/dev/null && rm -rf "$left"
    done
    [ -e "/proc/$$/exe" ] || return 0
    for left in "$1"/rt-proxy-*; do
        [ -d "$left" ] && [ "$left" != "$1/$name" ] || continue
        ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF " $left/" || rm -rf "$left"
    done
}

folders() {
    if [ -n "${RT_PROXY_UNPACK_IN-}" ]; then
        echo "$RT_PROXY_UNPACK_IN"
        return
    fi
    # systemd sets it, for a unit with CacheDirectory=.
    [ -z "${CACHE_DIRECTORY-}" ] || echo "${CACHE_DIRECTORY%%:*}"
    if [ "$user" = 0 ]; then # not in a home, for it may be that of who became root
        echo /var/cache/rt-proxy
    elif [ -n "${XDG_CACHE_HOME:-${HOME-}}" ]; then
        echo "${XDG_CACHE_HOME:-$HOME/.cache}/rt-proxy"
    fi
    echo "$common/rt-proxy-$user"
}

old_ifs=$IFS
IFS='
'
set -f
candidates=$(folders)
for folder in $candidates; do
    IFS=$old_ifs
    start_from "$folder" "$@"
done
for folder in $candidates; do
    set +f
    if unpack_into "$folder"; then
        start_from "$folder" "$@"
        why="what was unpacked is gone"
    fi
    set -f
    problems="$problems
  $folder: $why"
done
cat >&2 <<END
rt-proxy: there is no folder to unpack into, @MEGABYTES@ MB, and to run from:$problems
Make room in one of them, or name another one: RT_PROXY_UNPACK_IN=/a/folder
END
exit 1
