"""``torch.__future__``: how ``Module.to`` and its kind change parameters. Source: https://docs.pytorch.org/docs/stable/future_mod.html"""

_overwrite = [False]
_swap = [False]


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Whether conversions give modules new parameters. By default they change the data of those that are there."""
    _overwrite[0] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """As it was set."""
    return _overwrite[0]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Whether conversions exchange what is inside of parameters. They stay the same objects either way, so here nothing changes."""
    _swap[0] = value


def get_swap_module_params_on_conversion() -> bool:
    """As it was set."""
    return _swap[0]
