"""Tools over graphs that torch keeps as experimental."""
