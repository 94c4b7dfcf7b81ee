"""Versions: torch's, whose API this is, and jtorch's own."""

__version__ = "2.13.0"  # the torch release that jtorch follows
jtorch_version = "0.1.0"
cuda = None
hip = None
xpu = None
git_version = "jtorch"
debug = False
