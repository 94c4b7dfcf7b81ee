"""The namespaces of operators are complete, and what is declined stands on the list of gaps."""

from __future__ import annotations

import pytest

from compat import surface


@pytest.fixture(scope="module")
def reports() -> list[surface.Report]:
    return [surface.report(s) for s in surface.GOAL]


def test_public_names_exist(reports: list[surface.Report]) -> None:
    total = sum(r.names for r in reports)
    assert sum(len(r.missing) for r in reports) <= 0.03 * total, {r.space: r.missing for r in reports}


def test_parameters_carry_torchs_names(reports: list[surface.Report]) -> None:
    assert {r.space: r.parameters for r in reports if r.parameters} == {}


def test_what_is_declined_is_on_the_list_of_gaps() -> None:
    assert surface.undeclared([surface.report(s) for s in surface.SPACES]) == []


def test_internals_of_the_jit_are_not_counted() -> None:
    names = set(surface.public("torch"))
    assert not names & {"AliasDb", "Graph", "TensorType", "AVG", "DispatchKey", "parse_ir"}
    assert {"add", "float32", "Generator", "Size", "as_tensor", "manual_seed", "SymInt", "abs_", "vmap"} <= names
