"""A user's own policy from `module:Class`, or what is wrong with it.

The working directory is looked into first, as `python -m` would. It knows nothing of other policies.
"""

import sys
from importlib import import_module
from pathlib import Path

from p402.errors import P402Error, nearest
from sim.strategies.contract import Policy

SHAPE = "mymodule:MyPolicy, a class without arguments whose probabilities(contexts) gives (rounds, arms)"


class UnknownPolicy(P402Error):
    """The text names no strategy."""


def load(text: str) -> Policy:
    """An instance of the class that `module:Class` names.

    Raises
    ------
    UnknownPolicy
        The module cannot be imported, has no such class, or the class is no policy; the message says which.
    """
    module_name, _, class_name = text.partition(":")
    if not module_name or not class_name:
        raise UnknownPolicy(f"policy {text!r}: expected {SHAPE}")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except Exception as error:  # a stranger's module may raise anything
        raise UnknownPolicy(
            f"policy {text!r}: cannot import {module_name!r}: {type(error).__name__}: {error}; "
            f"expected {SHAPE}, importable from {here}"
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    kind = getattr(module, class_name, None)
    if kind is None:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise UnknownPolicy(
            f"policy {text!r}: {module_name} has no {class_name!r}{nearest(class_name, names)}; "
            f"expected {SHAPE}"
        )
    try:
        made = kind()
    except Exception as error:  # as above
        raise UnknownPolicy(
            f"policy {text!r}: {class_name}() raised {type(error).__name__}: {error}; expected {SHAPE}"
        ) from error
    if not callable(getattr(made, "probabilities", None)):
        raise UnknownPolicy(f"policy {text!r}: {class_name} has no method probabilities; expected {SHAPE}")
    policy: Policy = made
    return policy
