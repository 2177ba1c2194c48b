"""The PostgreSQL that comes along: started from nothing, owned by one process."""

from infra.embedded.stack import (
    Addresses,
    StackRunningError,
    embedded_postgres,
    running_stack,
)


__all__ = ["Addresses", "StackRunningError", "embedded_postgres", "running_stack"]
