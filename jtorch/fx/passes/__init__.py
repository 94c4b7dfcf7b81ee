"""Passes over graphs."""

from __future__ import annotations

from . import (
    graph_drawer as graph_drawer,
    graph_manipulation as graph_manipulation,
    operator_support as operator_support,
    param_fetch as param_fetch,
    pass_manager as pass_manager,
    shape_prop as shape_prop,
    split_module as split_module,
    split_utils as split_utils,
    tools_common as tools_common,
)

