"""Families: traces that are alike but for sizes, run by one program on padded values (``padded``).

It may import ``planning`` and what lies below.
"""
