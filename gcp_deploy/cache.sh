# The cache's place on a node: one file system over all local SSDs. Part of startup.sh and of node.sh (scripts.py).
#
# It is made anew after each boot, since the disks' content does not outlive the VM. Where something is mounted already
# (Batch mounts the disks that a job asked for), nothing is done. `root` stands in for / in tests.
make_cache() { # make_cache FOLDER; fails where there are disks and none could be used
    mountpoint -q "$1" && return 0
    set -- "$1" "$root"/dev/disk/by-id/google-local-nvme-ssd-*
    [ -e "$2" ] || return 0
    cache_place="$1"
    shift
    cache_device="$1"
    if [ "$#" -gt 1 ] && command -v mdadm >/dev/null; then
        cache_device="$root/dev/md/jit-render"
        [ -e "$cache_device" ] || mdadm --create "$cache_device" --run --level=0 --raid-devices="$#" "$@" || return 1
    elif [ "$#" -gt 1 ]; then
        echo "jit-render: no mdadm in this image: the cache has 1 of $# local SSDs, not striped" >&2
    fi
    mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,nodiscard "$cache_device" && mkdir -p "$cache_place" || return 1
    mount -o noatime,nobarrier "$cache_device" "$cache_place" || mount -o noatime "$cache_device" "$cache_place" || return 1
    chmod 1777 "$cache_place"
}
