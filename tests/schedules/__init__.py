"""Random schedules of faults over the real topologies, judged by what each client saw: see `__main__`."""
