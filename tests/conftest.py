"""What holds for every test: a property is about values, and how long an example takes is no claim of it."""

from hypothesis import HealthCheck, settings

settings.register_profile("p402", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("p402")
