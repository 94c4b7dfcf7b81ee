"""torch's module database, and the other public classes of torch.nn, run against jtorch: ``python -m compat.moduledb``."""
