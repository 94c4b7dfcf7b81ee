"""``torch.Tag``: what is said of an operator beside its signature."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Tag"]

Tag = IntEnum(  # type: ignore[misc]
    "Tag",
    "core cudagraph_unsafe data_dependent_output dynamic_output_shape flexible_layout generated inplace inplace_view maybe_aliasing_or_mutating "
    "needs_contiguous_strides needs_exact_strides needs_fixed_stride_order nondeterministic_bitwise nondeterministic_seeded out out_variant pointwise "
    "pt2_compliant_tag reduction view_copy",
    start=0,
)
Tag.__module__ = "torch"
Tag.__repr__ = lambda self: f"<Tag.{self.name}: {int(self)}>"  # type: ignore[attr-defined,call-overload,method-assign]
Tag.__str__ = lambda self: f"Tag.{self.name}"  # type: ignore[attr-defined,method-assign]
