#!/bin/bash
# What every VM of jit-render runs at each boot. The role comes from the metadata (jit-render-role):
#
#   image  install this package from wheels and Nuke from the studio's own bucket, then say so by a guest attribute
#   node   stripe the local SSDs into one cache; turn off by itself when there has been no work for a while
#
# There is no way to the internet: all that is installed comes from buckets, by Private Google Access.
# JIT_METADATA, JIT_STORAGE and JIT_ROOT stand in for the metadata server, Cloud Storage and / in tests.
set -Eeuo pipefail # E: functions inherit the trap that tells of a failure
metadata="${JIT_METADATA:-http://metadata.google.internal}/computeMetadata/v1/instance"
storage="${JIT_STORAGE:-https://storage.googleapis.com}"
root="${JIT_ROOT:-}"
home="$root/opt/jit-render"
cache="$root/mnt/disks/cache"

ask() { # ask PATH [DEFAULT]: an entry of the metadata
    curl -sf --retry 5 --retry-connrefused -H 'Metadata-Flavor: Google' "$metadata/$1" || printf '%s' "${2-}"
}

tell() { # tell KEY VALUE: a guest attribute, which jit-deploy image waits for
    curl -sf --retry 5 -X PUT -H 'Metadata-Flavor: Google' --data "$2" "$metadata/guest-attributes/jit-render/$1"
}

fetch() { # fetch gs://BUCKET/NAME FILE
    local rest="${1#gs://}" token name
    token="$(ask service-accounts/default/token | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')"
    name="$(printf '%s' "${rest#*/}" | sed 's|%|%25|g; s|/|%2F|g; s| |%20|g; s|+|%2B|g; s|?|%3F|g; s|#|%23|g')"
    curl -sSf --retry 8 -H "Authorization: Bearer $token" -o "$2" \
        "$storage/storage/v1/b/${rest%%/*}/o/$name?alt=media"
}

install_package() { # every file that the recipe lists: wheels, and Debian packages that Nuke wants
    local recipe="$1" work="$2" name
    fetch "$recipe/files.txt" "$work/files.txt"
    mkdir -p "$work/wheels" "$work/debs"
    while read -r digest name; do
        case "$name" in
            *.whl) fetch "$recipe/$name" "$work/wheels/$name"; file="$work/wheels/$name" ;;
            *.deb) fetch "$recipe/$name" "$work/debs/$name"; file="$work/debs/$name" ;;
            *) echo "the recipe lists $name, which is neither a wheel nor a Debian package" >&2; return 1 ;;
        esac
        echo "$digest  $file" | sha256sum --check --quiet
    done <"$work/files.txt"
    if ls "$work"/debs/*.deb >/dev/null 2>&1; then
        dpkg --install "$work"/debs/*.deb
    fi
    # Debian's python3 has no ensurepip; pip runs from its own wheel.
    rm -rf "$home"
    python3 -m venv --without-pip "$home"
    "$home/bin/python" "$(ls "$work"/wheels/pip-*.whl)/pip" install --quiet --no-index \
        --find-links "$work/wheels" 'jit-render[gcp]'
}

install_nuke() { # an archive of an installed Nuke, unpacked to /opt/nuke
    local archive="$1" work="$2"
    [ -n "$archive" ] || return 0
    fetch "$archive" "$work/nuke.archive"
    rm -rf "$root/opt/nuke"
    mkdir -p "$root/opt/nuke"
    tar -xf "$work/nuke.archive" -C "$root/opt/nuke"
}

make_image() {
    local work
    work="$(mktemp -d)"
    trap 'tell ready "failed: line $LINENO of the start-up script; see the serial port of this VM"' ERR
    install_package "$(ask attributes/jit-render-recipe)" "$work"
    install_nuke "$(ask attributes/jit-render-nuke)" "$work"
    "$home/bin/jit-render" --help >/dev/null
    rm -rf "$work"
    sync
    tell ready "$(ask attributes/jit-render-digest)"
}

# include cache.sh

watch_idle() { # watch_idle MINUTES: a node that nobody gives work to must not go on costing; 0: never turned off
    local limit idle=0 found
    limit="$(awk -v minutes="$1" 'BEGIN { printf "%d", minutes * 60 }')"
    [ "$1" != 0 ] || return 0
    while sleep 30; do
        # Machines of Google Batch are Batch's to end; node.sh leaves this mark before the first task.
        [ ! -e "$root/run/jit-render-batch" ] || return 0
        found=0
        pgrep -f "$home/bin/" >/dev/null || found=$?
        if [ "$found" = 1 ]; then # none; any other failure of pgrep says nothing, and work must not be cut off
            idle=$((idle + 30))
        else
            idle=0 # a worker, or an agent that still uploads; an idle agent ends by itself
        fi
        if [ "$idle" -ge "$limit" ]; then # where it is refused, it is asked for again every half minute
            echo "jit-render: no work for $limit seconds; turning off"
            shutdown -h now || systemctl poweroff || echo "jit-render: cannot turn off; this node goes on costing"
        fi
    done
}

case "$(ask attributes/jit-render-role node)" in
    image) make_image ;;
    node)
        # Without a cache of its own the node still renders; what must run in any case is the switch below.
        make_cache "$cache" || echo "jit-render: the local SSDs could not be used; the cache is on the boot disk" >&2
        watch_idle "$(ask attributes/jit-render-idle-minutes 15)" </dev/null >/dev/console 2>&1 &
        disown
        ;;
    *) echo "jit-render: unknown role in the metadata (jit-render-role)" >&2; exit 2 ;;
esac
