"""What holds for every test: a property is about values, and how long an example takes is no claim of it."""

from hypothesis import settings

settings.register_profile("p402", deadline=None)
settings.load_profile("p402")
