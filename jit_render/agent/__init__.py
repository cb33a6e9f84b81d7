"""The daemon of one node: it turns names into files, and finished files into frames in the bucket.

One process owns the node's cache. Every renderer and worker of the node talks to it over a Unix socket; a connection
is a *session*, and what a session has been given stays where it is until its frame, or the session, ends.

::

    launch       who needs an agent, and there is one           __main__, server   its life: listen, drain, leave
    connection   bytes ↔ requests, whose connection it is       session            the verbs, scopes of leases
    resolve      a name → a file here, absent, unmapped, failed jobs, siblings     specs; neighbours of a missing frame
    outputs      write leases; a finished file → the spool      spool, entry       entries that survive a kill
    uploads      spool → bucket → commit record → cache         commit             the record of a frame
    attempts     what each attempt has used and committed       metrics            the same for Prometheus

All state belongs to one thread, the event loop's, so there are no locks; what takes time (storage, checksums,
fsync) runs in threads that are handed what they need and change nothing else. The loop never waits for the disk
but for single small calls (a rename, a symlink, a row, a small object: `jit_render.cache.small`).

Two promises carry the rest. A path is answered only for bytes that are whole and held; a publish is answered only for
bytes that survive a kill. Everything between (retries, preconditions, who won) may then be repeated by anybody.
"""

from __future__ import annotations

from jit_render.agent.launch import ensure_running, socket_path

__all__ = ["ensure_running", "socket_path"]
