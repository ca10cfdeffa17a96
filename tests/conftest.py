"""What all tests share: commands that can be interrupted, and hypothesis without a wall-clock deadline, because
machines are shared and slow at times."""

import signal

from hypothesis import HealthCheck, settings

# A shell without job control starts what runs in the background deaf to SIGINT, and its children inherit that;
# tests that interrupt a command as a terminal does would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("hub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hub")
