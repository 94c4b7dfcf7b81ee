"""torch's operator database run against jtorch: ``python -m compat.opdb --ops '^add$' -v``."""
