"""The autograd graph as it is recorded: nodes and their hooks, the history of views, what nodes save, copies between devices, sparse values, and the modes (no_grad, inference).

It may import ``storage``. Walking the graph is the work of ``backward``.
"""
