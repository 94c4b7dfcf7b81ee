"""What a person sees of a tensor: construction, methods, attributes, indexing, the operators of the language, printing; and the public functions, derived from the registry.

It may import ``backward`` and what lies below. ``setup.py`` puts the core together.
"""
