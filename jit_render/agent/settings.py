"""What one agent is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jit_render.model.settings import CacheSettings, StoreSettings


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where an agent works and how patient it is."""

    root: Path
    """The node cache; one agent owns it."""
    socket: Path
    cache: CacheSettings = field(default_factory=CacheSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    idle_seconds: float = 600.0
    """Without a session and with an empty spool for so long, the agent ends by itself; 0: never."""
    grace_seconds: float = 30.0
    """After SIGTERM, how long open frames and the spool are waited for."""
    metrics_port: int = 0
    """Prometheus on 127.0.0.1; 0: none, -1: any free port."""
    hello_seconds: float = 30.0
    """A connection that has not said hello after so long is closed."""
    retry_seconds: float = 0.5
    """The first wait before a failed upload is tried again; it doubles."""
    retry_limit_seconds: float = 60.0
