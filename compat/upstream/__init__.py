"""PyTorch's own test files, taken by path from a checkout of them, run under real torch and under jtorch.

``python -m compat.upstream CHECKOUT`` runs what real torch passes and reports by file and by cause. The project ships none of
these files: ``CHECKOUT`` is any folder that holds PyTorch's ``test`` folder, or that folder itself.
"""
