"""Rates: who asks too often waits, and is told for how long.

An IPv6 address counts by its /64, which is what one household has.
"""

import math
from ipaddress import IPv6Address, IPv6Network, ip_address

from events.errors import TooMany
from services.accounts.ports import Rate, Store


class Rates:
    """Counts requests in the store, over all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def admit(self, purpose: str, key: str | None, rate: Rate) -> None:
        """Count a request, or raise `TooMany`; nobody's address counts as one."""
        wait = await self._store.admit(f"{purpose}:{key or '-'}", rate)
        if wait is not None:
            seconds = math.ceil(wait.total_seconds())
            message = f"Too many requests; try again in {seconds} s."
            raise TooMany(message, retry_after=seconds)


def network_of(ip: str | None) -> str | None:
    """Return what an address counts by."""
    if ip is None:
        return None
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return ip
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))
