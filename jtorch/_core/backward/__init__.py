"""The backward pass, and checkpoints that compute again what they forgot.

It may import ``dispatch`` and what lies below.
"""
