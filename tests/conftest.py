"""What all tests share: hypothesis without a wall-clock deadline, because machines are shared and slow at times."""

from hypothesis import HealthCheck, settings

settings.register_profile("hub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hub")
