"""Hosts of the farm and the links between them: network namespaces, veth pairs, a bridge, ``tc tbf``.

::

    this namespace = the storage host              switch                      node<i>
      filer 10.77.0.1 ────── filer_bits ───────── bridge ────── host_bits ──── lan 10.77.0.<10+i>
      object store 10.77.255.1 on lo
         └ store<i> 10.77.<100+i>.1 ───────────── host_bits ────────────────── wan 10.77.<100+i>.2

Each end of a link is shaped, so both ways have that width. All of it must be made inside a network namespace of one's
own, whose end takes everything along (`inside.py`).
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

FILER_ADDRESS = "10.77.0.1"
STORE_ADDRESS = "10.77.255.1"
_BURST_BYTES = 128 * 1024  # two of the largest segments that a veth hands on in one piece
_QUEUE_SECONDS = 0.05


@dataclass(frozen=True)
class Host:
    """A render host. `enter` is put before a command to have it run there, with a mount namespace of its own."""

    index: int
    enter: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"node{self.index}"


@dataclass(frozen=True)
class Counted:
    """Bytes that came into and went out of an interface."""

    received: int
    sent: int

    def since(self, before: Counted) -> Counted:
        return Counted(self.received - before.received, self.sent - before.sent)


NOTHING = Counted(0, 0)


class Network:
    """The links of a farm with `hosts` render hosts."""

    def __init__(self, hosts: int, *, host_bits: float, filer_bits: float) -> None:
        self.hosts = tuple(Host(index, ("ip", "netns", "exec", f"node{index}")) for index in range(hosts))
        self._host_bits = host_bits
        self._filer_bits = filer_bits

    def build(self) -> None:
        """Raises CalledProcessError with the words of `ip` or `tc`."""
        _run("ip link set lo up")
        _run(f"ip address add {STORE_ADDRESS}/32 dev lo")
        _run("ip netns add switch")
        _run("ip -n switch link add bridge type bridge")
        _run("ip -n switch link set bridge up")
        _run("ip link add filer type veth peer name filer netns switch")
        _run("ip -n switch link set filer master bridge up")
        _run(f"ip address add {FILER_ADDRESS}/24 dev filer")
        _run("ip link set filer up")
        _shape("", "filer", self._filer_bits)
        _shape("switch", "filer", self._filer_bits)
        for host in self.hosts:
            self._join(host)

    def _join(self, host: Host) -> None:
        name, number = host.name, host.index
        _run(f"ip netns add {name}")
        _run(f"ip -n {name} link set lo up")
        _run(f"ip link add {name} netns switch type veth peer name lan netns {name}")
        _run(f"ip -n switch link set {name} master bridge up")
        _run(f"ip -n {name} address add 10.77.0.{10 + number}/24 dev lan")
        _run(f"ip -n {name} link set lan up")
        _run(f"ip link add store{number} type veth peer name wan netns {name}")
        _run(f"ip address add 10.77.{100 + number}.1/30 dev store{number}")
        _run(f"ip link set store{number} up")
        _run(f"ip -n {name} address add 10.77.{100 + number}.2/30 dev wan")
        _run(f"ip -n {name} link set wan up")
        _run(f"ip -n {name} route add {STORE_ADDRESS} via 10.77.{100 + number}.1")
        for namespace, device in (("switch", name), (name, "lan"), ("", f"store{number}"), (name, "wan")):
            _shape(namespace, device, self._host_bits)

    def count(self) -> dict[str, Counted]:
        """Bytes so far, by the host's name over all its links, and by ``filer`` and ``store``."""
        here = _counters("")
        mine = [counted for name, counted in here.items() if name.startswith("store")]
        found = {"filer": here["filer"], "store": _sum(mine)}
        for host in self.hosts:
            there = _counters(host.name)
            found[host.name] = _sum([there["lan"], there["wan"]])
        return found


class Unshaped:
    """Hosts that are only folders, on this machine's loopback: nothing is shaped, and nothing can be counted."""

    def __init__(self, hosts: int) -> None:
        self.hosts = tuple(Host(index) for index in range(hosts))

    def count(self) -> dict[str, Counted]:
        return dict.fromkeys(["filer", "store", *(host.name for host in self.hosts)], NOTHING)


def _shape(namespace: str, device: str, bits: float) -> None:
    inside = f"-n {namespace} " if namespace else ""
    queue = f"burst {_BURST_BYTES} latency {_QUEUE_SECONDS * 1000:g}ms"
    _run(f"tc {inside}qdisc add dev {device} root tbf rate {bits:.0f}bit {queue}")


def _counters(namespace: str) -> dict[str, Counted]:
    inside = f"-n {namespace} " if namespace else ""
    links: list[dict[str, Any]] = json.loads(_run(f"ip {inside}-s -j link show"))
    return {link["ifname"]: Counted(link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"]) for link in links}


def _sum(counted: list[Counted]) -> Counted:
    return Counted(sum(one.received for one in counted), sum(one.sent for one in counted))


def _run(command: str) -> str:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip() or done.returncode}")
    return done.stdout
