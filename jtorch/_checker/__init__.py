"""``python -m jtorch --check script.py``: every torch function that a program calls is called again in real torch, with the same values, and compared.

``calls`` stands around the program's calls (a TorchFunctionMode) and sends them; ``wire`` is what both sides write to each other; ``worker`` runs in a process of its
own, where ``import torch`` is real torch and nothing of jtorch is imported. May import everything below ``jtorch``; nothing imports it but ``python -m jtorch``.
"""
