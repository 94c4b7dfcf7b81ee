"""Other people's programs under both libraries: 20 training steps each, whose losses must agree to 4 significant digits.

The drivers are ours; the programs come at test time. Those of packages are in the environment of compat/packages; those of public repositories lie in one
folder, ``OWNER+NAME`` each, with their Python files as they are there:

    python -m compat.programs --venv /tmp/packages --checkouts /tmp/repositories [--only nanogpt] [--write]
"""
