#!/bin/sh
# What a node of Google Batch runs for one task. The image has the package; which job, which round and which settings
# come in the task's environment (JIT_RENDER_*), the task's number from Batch.
#
# The worker starts the node's agent if none lives: the agent and its cache serve every later task on this VM. Exit codes
# are the worker's own: 75 is tried again by Batch, and so are the service's 50001 to 50004 and 50006.
set -eu
render=/opt/jit-render/bin/jit-render
if [ ! -x "$render" ]; then
    echo "jit-render: this image has no $render; make one with 'jit-deploy image' and set gcp.image." >&2
    exit 2
fi
# include cache.sh
root="${JIT_ROOT:-}"
# Where a studio runs Batch on our template: its switch for idle nodes (startup.sh) lets machines of Batch alone.
(: >"$root/run/jit-render-batch") 2>/dev/null || echo "jit-render: no mark in $root/run: this node may turn off when idle" >&2
cache=/mnt/disks/cache
case "$JIT_RENDER_CACHE_ROOT" in
    "$cache"/*)
        # Local SSDs that are part of the machine are nobody's volume: whether Batch mounts them is not documented.
        make_cache "$root$cache" || echo "jit-render: the local SSDs could not be used; the cache is on the boot disk" >&2
        # What is really there, less the share that a file system and outputs waiting for upload need (CACHE_SHARE).
        if mountpoint -q "$root$cache"; then
            export JIT_RENDER_CACHE_LIMIT="$(($(df -Pk "$root$cache" | awk 'NR == 2 { print $2 }') * 1024 / 10 * 9))"
        fi
        ;;
esac
umask 077
# Since when this machine is paid for: the attempt's record says so.
export JIT_RENDER_BOOTED="${JIT_RENDER_BOOTED:-$(($(date +%s) - $(cut -d. -f1 /proc/uptime)))}"
echo "task $BATCH_TASK_INDEX of $BATCH_TASK_COUNT, retry ${BATCH_TASK_RETRY_ATTEMPT:-0}, on $(hostname)"
exec "$render" work --json --job "$JIT_RENDER_HOME" --round "$JIT_RENDER_ROUND" --index "$BATCH_TASK_INDEX"
