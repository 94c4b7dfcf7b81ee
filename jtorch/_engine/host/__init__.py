"""Running operators with numpy alone: in forked workers, and where a program of XLA would not pay.

It may import ``planning`` and what lies below.
"""
