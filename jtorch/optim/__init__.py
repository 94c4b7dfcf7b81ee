"""Optimizers, learning rate schedules and averaged models, as torch has them; and any optax transformation as an optimizer.

An optimizer's whole update of a parameter is one recorded operator (``jtorch/_ops/optim_updates.py``), so that a training
step is one program: forward, backward and update together, parameters and state updated in place.
"""

from __future__ import annotations

from jtorch.optim import lr_scheduler as lr_scheduler
from jtorch.optim import swa_utils as swa_utils
from jtorch.optim._adafactor import Adafactor
from jtorch.optim._muon import Muon
from jtorch.optim._stateless import swap_in_optimizer_params_and_state
from jtorch.optim.adadelta import Adadelta
from jtorch.optim.adagrad import Adagrad
from jtorch.optim.adam import Adam
from jtorch.optim.adamax import Adamax
from jtorch.optim.adamw import AdamW
from jtorch.optim.asgd import ASGD
from jtorch.optim.lbfgs import LBFGS
from jtorch.optim.nadam import NAdam
from jtorch.optim.optax import Optax
from jtorch.optim.optimizer import Optimizer
from jtorch.optim.radam import RAdam
from jtorch.optim.rmsprop import RMSprop
from jtorch.optim.rprop import Rprop
from jtorch.optim.sgd import SGD
from jtorch.optim.sparse_adam import SparseAdam

__all__ = [
    "Adafactor", "Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "LBFGS", "lr_scheduler", "Muon", "NAdam", "Optax",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam", "swap_in_optimizer_params_and_state", "swa_utils",
]  # fmt: skip
