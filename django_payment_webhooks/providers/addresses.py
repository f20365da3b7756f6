"""The address that a webhook came from, as far as the proxies in front can be trusted."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Mapping, Sequence, Union

Network = Union[IPv4Network, IPv6Network]


@lru_cache(maxsize=64)
def read_networks(addresses: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that these texts name. Raises ``ValueError``."""
    return tuple(ip_network(address) for address in addresses)


def find_client(meta: Mapping[str, Any], trusted_proxies: int) -> str:
    """Return the address that the outermost trusted proxy saw, or "" if there is none.

    Each proxy appends its client's address to ``X-Forwarded-For``. So the address is as many steps
    from the end as there are proxies, and anything before it was written by the sender.
    """
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    hops = [hop.strip() for hop in forwarded if hop.strip()]
    hops.append(str(meta.get("REMOTE_ADDR") or ""))
    return hops[-1 - trusted_proxies] if trusted_proxies < len(hops) else ""


def check_address(
    meta: Mapping[str, Any], addresses: Sequence[str], trusted_proxies: int | None
) -> bool:
    """Return whether a webhook came from one of these addresses, or need not have."""
    if not addresses or trusted_proxies is None:
        return True
    try:
        client = ip_address(find_client(meta, trusted_proxies))
    except ValueError:
        return False
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in network for network in read_networks(tuple(addresses)))
