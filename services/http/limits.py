"""The documented limits of the HTTP interface."""

import msgspec

from services.commanding import BATCH_BYTES, BATCH_COMMANDS, COMMAND_BYTES


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may cost; sizes are bytes, times are seconds."""

    command_bytes: int = COMMAND_BYTES
    batch_bytes: int = BATCH_BYTES
    batch_commands: int = BATCH_COMMANDS
    blob_bytes: int = 16 << 20
    page_rows: int = 200
    default_rows: int = 50
    page_events: int = 1_000
    default_events: int = 100
    scanned_events: int = 10_000
    wait_seconds: float = 5.0
    heartbeat_seconds: float = 15.0
    drop_seconds: float = 10.0
    feeds_per_actor: int = 10
    exports: int = 2
    proxies: int = 0
    """How many proxies of ours stand in front and add to X-Forwarded-For."""

    @property
    def body_bytes(self) -> int:
        """Return the largest body that any route takes."""
        return max(self.command_bytes, self.batch_bytes, self.blob_bytes)
