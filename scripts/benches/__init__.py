"""Parts of the benchmark: ``micro`` times pieces, ``system`` whole servers under a herd, ``peer`` is one to beat."""
