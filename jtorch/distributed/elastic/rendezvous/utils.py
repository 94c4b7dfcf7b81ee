"""Endpoints and settings from texts."""

from __future__ import annotations

import re

__all__ = ["parse_rendezvous_endpoint"]


def _parse_rendezvous_config(config_str: str) -> dict[str, str]:
    """``key=value,key=value`` as a dict. ValueError for a text that is not that."""
    config: dict[str, str] = {}
    for pair in config_str.strip().split(",") if config_str.strip() else []:
        key, _, value = (x.strip() for x in pair.partition("="))
        if not key:
            raise ValueError("The rendezvous configuration string must be in format <key1>=<value1>,...,<keyN>=<valueN>.")
        if not value:
            raise ValueError(f"The rendezvous configuration option '{key}' must have a value specified.")
        config[key] = value
    return config


def parse_rendezvous_endpoint(endpoint: str | None, default_port: int) -> tuple[str, int]:
    """``host[:port]`` as (host, port). ValueError for a text that is not that."""
    endpoint = (endpoint or "").strip()
    if not endpoint:
        return "localhost", default_port
    whole = endpoint[0] == "[" and endpoint[-1] == "]"  # an address of IPv6
    host, colon, given = (endpoint, "", "") if whole or ":" not in endpoint else endpoint.rpartition(":")
    if len(host) > 1 and host[0] == "[" and host[-1] == "]":
        host = host[1:-1]
    port = default_port
    if colon:
        if not re.fullmatch(r"[0-9]{1,5}", given) or int(given) >= 1 << 16:
            raise ValueError(f"The port number of the rendezvous endpoint '{endpoint}' must be an integer between 0 and 65536.")
        port = int(given)
    if not re.match(r"^[\w\.:-]+$", host):
        raise ValueError(f"The hostname of the rendezvous endpoint '{endpoint}' must be a dot-separated list of labels, an IPv4 address, or an IPv6 address.")
    return host, port
