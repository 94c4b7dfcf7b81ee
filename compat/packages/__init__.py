"""Packages that depend on torch: each imported under ``python -m jtorch`` and one real thing done with it, beside real torch.

``requirements.txt`` pins them; ``python -m compat.packages --venv DIR`` installs them into one virtual environment and runs everything; ``--write`` writes
docs/packages.md. ``things/`` holds one small function a package; ``scan.py`` collects the dotted names of torch that their sources use (``names.txt``).
"""
