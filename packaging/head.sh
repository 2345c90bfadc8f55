#!/bin/sh
main() {
    # rt-proxy @VERSION@ for @PLATFORM@: this script, and behind its last line a gzipped tar.
    #
    # At its first start it unpacks itself, @MEGABYTES@ MB, into a folder of the user who starts it, and from
    # then on runs what is there. The program takes the place of this script, with its process id:
    # signals, exit statuses and supervisors work as with any other program.
    #
    # RT_PROXY_UNPACK_IN=/A/FOLDER says where, in place of the folders that are tried below.
    #
    # It is a function, called at its end, so that a part of it does nothing.

    set -u

    name=rt-proxy-@KEY@
    # In each folder that was unpacked; nothing without it is ever removed.
    marker=unpacked-by-rt-proxy
    files=@FILES@
    size=@SIZE@
    self=$0
    user=$(id -u)
    mask=$(umask)
    newline='
'

    # What is closed would be taken by the next file that is opened.
    (: <&0) 2>/dev/null || exec </dev/null
    (: >&1) 2>/dev/null || exec >/dev/null
    (: >&2) 2>/dev/null || exec 2>/dev/null
    umask 077
    old_ifs=$IFS
    IFS=$newline
    set -f
    candidates=$(folders)
    has_its_size || exit 1
    for folder in $candidates; do
        start_from "$folder" "$@"
    done
    is_sound || exit 1
    problems=
    for folder in $candidates; do
        IFS=$old_ifs
        set +f
        for _ in 1 2; do # another start may have put an old copy away in between
            unpack_into "$folder" || break
            start_from "$folder" "$@"
            why="what was unpacked there is gone"
        done
        problems="$problems$newline  $folder: $(echo "$why" | head -n 2)"
    done
    cat >&2 <<END
rt-proxy: there is no folder to unpack into, @MEGABYTES@ MB, and to run from:$problems
Make room in one of them, or name another one: RT_PROXY_UNPACK_IN=/a/folder
END
    exit 1
}

# Prints where it may be unpacked, a line each, in the order in which that is tried.
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
    echo "${TMPDIR:-/tmp}/rt-proxy-$user"
}

# Runs what was unpacked; returns if that is not there, or not safe to run.
start_from() {
    find_place "$1" >/dev/null || return 0
    shift
    is_unpacked && is_safe "$place/$name/rt-proxy" >/dev/null || return 0
    IFS=$old_ifs
    umask "$mask"
    RT_PROXY_CALLED_AS=$self
    export RT_PROXY_CALLED_AS
    exec "$place/$name/rt-proxy" "$@"
}

# Sets $place to where a folder really is; says otherwise why not.
find_place() {
    case $1 in
    /*) ;;
    *)
        echo "is no absolute path"
        return 1
        ;;
    esac
    if ! place=$(cd -P -- "$1" 2>/dev/null && pwd -P); then
        echo "cannot be entered"
        return 1
    fi
    place=${place%/}
}

# Whether all of it is there; what removes old files takes each for itself.
is_unpacked() {
    [ -x "$place/$name/rt-proxy" ] && [ "$(find "$place/$name" | wc -l)" -eq "$files" ]
}

# Whether nobody but root and the user can put something at a path, or in the place of a folder
# above it; says otherwise what is wrong. Where everybody may write (sticky, as /tmp) the folders
# of a user can be moved by nobody else.
is_safe() {
    level=$1
    while :; do
        # shellcheck disable=SC2012 # the name is not looked at
        owner=$(ls -ldn -- "$level" 2>/dev/null | {
            IFS=' ' read -r mode _ uid gid _
            echo "$mode $uid $gid"
        })
        mode=${owner%% *}
        gid=${owner##* }
        uid=${owner#* }
        uid=${uid%% *}
        if [ "$uid" != 0 ] && [ "$uid" != "$user" ]; then
            echo "$level belongs to another user"
            return 1
        fi
        case $mode in
        ?????w????+*) false ;; # a list says who, and it is not told here
        ????????w[tT]*) [ "$level" != "$1" ] ;;
        ????????w*) false ;;
        ?????w*) [ "$gid" = "$uid" ] ;; # a group of one user
        esac || {
            echo "$level may be written by others"
            return 1
        }
        [ "$level" != / ] || return 0
        level=${level%/*}
        level=${level:-/}
    done
}

# Whether this file is as long as it was built; says otherwise what to do.
has_its_size() {
    if [ ! -f "$self" ]; then
        echo "rt-proxy: cannot find itself as $self; call it by its path" >&2
        return 1
    fi
    if [ "$(wc -c <"$self")" -ne "$size" ]; then
        echo "rt-proxy: $self is incomplete or damaged; copy it again" >&2
        return 1
    fi
}

# Whether this file is as it was built, to the last bit; says otherwise what to do.
is_sound() {
    if ! tail -n +@LINES@ "$self" | gzip -t 2>/dev/null; then
        echo "rt-proxy: $self is damaged, or there is no gzip here; copy it again" >&2
        return 1
    fi
}

# Unpacks into a folder; where it cannot, says why in $why and returns 1.
unpack_into() {
    case $1 in
    /*) why=$(mkdir -p -- "$1" 2>&1) || return 1 ;;
    esac
    why=$(find_place "$1") || return 1
    find_place "$1"
    why=$(is_safe "${place:-/}") || return 1
    sweep
    part=$place/.$name.$$
    why=$(mkdir "$part" 2>&1) || return 1
    trap 'rm -rf "$part"; exit 1' HUP INT TERM
    if ! why=$(unpack 2>&1); then
        rm -rf "$part"
        return 1
    fi
    if ! why=$("$part/rt-proxy" --version 2>&1); then
        rm -rf "$part"
        cat >&2 <<END
rt-proxy: it does not run on this host: $(echo "$why" | head -n 2)
It was built for @PLATFORM@, or newer; build it on a host like this one.
END
        exit 1
    fi
    if ! mv -T "$part" "$place/$name" 2>/dev/null; then
        # Another start has been first, and has unpacked the same; or cleaners have left a part.
        if ! is_unpacked && mv -T "$place/$name" "$part.old" 2>/dev/null; then
            rm -rf "$part.old"
            mv -T "$part" "$place/$name" 2>/dev/null
        fi
        rm -rf "$part"
    fi
    trap - HUP INT TERM
}

unpack() {
    : >"$part/$marker" || return 1
    printf '#!/bin/sh\n' >"$part/probe" || return 1
    chmod 700 "$part/probe"
    if ! "$part/probe" 2>/dev/null; then
        echo "programs must not be run from there (noexec)"
        return 1
    fi
    rm "$part/probe"
    tail -n +@LINES@ "$self" | tar -xzmof - -C "$part"
}

# Removes what a start left that was killed, and other versions that nobody runs any more.
sweep() {
    for left in "$place"/.rt-proxy-*; do
        process=${left%.old}
        process=${process##*.}
        # In a container each start has the same number.
        if [ "$process" = $$ ] || ! kill -0 "$process" 2>/dev/null; then
            if [ -f "$left/$marker" ]; then
                rm -rf "$left"
            else
                rmdir "$left" 2>/dev/null
            fi
        fi
    done
    [ -e "/proc/$$/exe" ] || return 0
    running=$(programs)
    case $newline$running$newline in
    *"${newline}unknown$newline"*) return 0 ;;
    esac
    for left in "$place"/rt-proxy-*; do
        [ -f "$left/$marker" ] && [ "$left" != "$place/$name" ] || continue
        case $newline$running in
        *"$newline$left"/*) ;;
        *) rm -rf "$left" ;;
        esac
    done
}

# Prints the programs that run; "unknown" for one of the user's own that cannot be seen.
programs() {
    for process in /proc/[0-9]*; do
        # shellcheck disable=SC3067 # dash, bash and busybox have it
        readlink "$process/exe" 2>/dev/null || [ "$user" = 0 ] || [ ! -O "$process" ] ||
            echo unknown
    done
}

main "$@"
# shellcheck disable=SC2317 # main ends by itself; what follows is no script
exit 1
