"""Fuzzing: targets that take any bytes, a corpus to begin from, and the runner behind `make fuzz`."""
