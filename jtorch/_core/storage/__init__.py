"""What memory is: the bare ``Tensor`` and ``Storage`` (slots only), storages shared with numpy, views and how they are read and written, strides and overlaps.

The lowest floor of the core: it imports the engine and nothing of the core.
"""
