"""Pre-training: the model with its two heads, and what trains it on raw text: phases, exact resume, what stops it."""
