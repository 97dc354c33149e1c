"""Pure rules of scheduling. Nothing here imports Django or asks a clock; now is always passed in."""
