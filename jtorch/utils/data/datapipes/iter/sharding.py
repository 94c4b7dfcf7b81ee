"""Pipes that share elements out among workers."""

from __future__ import annotations

from .._classes import named
from ..datapipe import IterDataPipe

__all__ = ["ShardingFilterIterDataPipe"]

ShardingFilterIterDataPipe = named("ShardingFilterIterDataPipe", "sharding_filter", IterDataPipe)
