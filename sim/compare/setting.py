"""What a comparison was made in: the facts of a world that its readers are told. It computes nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that changes in a world.

    Attributes
    ----------
    at_ms
        Wall time, ms since 1970 UTC.
    what
        In a few words.
    """

    at_ms: int
    what: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A world, for readers.

    Attributes
    ----------
    name, about
        Of the spec.
    invented
        What of it is not real, the first thing that readers are told.
    sha256
        Of the spec's canonical bytes.
    start_ms, hours
        When it begins and for how long sessions begin.
    arms, providers, models, tenants
        How many of each there are.
    baseline
        The model that the direct cost is of.
    worth
        What utility is, in words.
    happenings
        Events by time.
    """

    name: str
    about: str
    invented: str
    sha256: str
    start_ms: int
    hours: float
    arms: int
    providers: int
    models: int
    tenants: int
    baseline: str
    worth: str
    happenings: tuple[Happening, ...]
